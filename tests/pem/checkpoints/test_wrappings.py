"""Weights load as training scripts wrap them, and what was taken off or left out is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pem_edge import pem

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def weights() -> State:
    return dict(pem.load("demo").state_dict())


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def zeros(state: State) -> State:
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


Wrapping = tuple[str, Callable[[State], Any], list[str]]
WRAPPINGS: dict[str, Wrapping] = {
    "bare": ("bare.pth", lambda state: state, []),
    "DataParallel": (
        "parallel.pth",
        lambda state: {"model": prefixed("module.", state)},
        ["took the prefix 'module.' off the names of tensors"],
    ),
    "Lightning": (
        "epoch=3.ckpt",
        lambda state: {"state_dict": prefixed("model.", state), "epoch": 3, "hyper_parameters": {"lr": 1e-4}},
        ["took the prefix 'model.' off the names of tensors"],
    ),
    "Lightning beside a criterion": (
        "epoch=4.ckpt",
        lambda state: {"state_dict": {**prefixed("net.", state), "loss.weight": torch.ones(3)}},
        ["left out 1 tensors of loss", "took the prefix 'net.' off the names of tensors"],
    ),
    "torch.compile in DataParallel": (
        "compiled.pth",
        lambda state: prefixed("module._orig_mod.", state),
        ["took the prefix 'module._orig_mod.' off the names of tensors"],
    ),
    "averages alone": (
        "averages.pth",
        lambda state: {"model_ema": {"state_dict": state}},
        ["the weights are averages over training (model_ema.state_dict), there are no others"],
    ),
    "averages beside": (
        "both.pth",
        lambda state: {"model": state, "ema_state": zeros(state)},
        ["took the weights model, not their averages over training (ema_state)"],
    ),
    "a step beside": (
        "step.pth",
        lambda state: {"step": torch.tensor(7), "net": state},
        ["left out 1 tensors in the top"],
    ),
    "an average that is the model itself": (
        "same.pth",
        lambda state: {"ema": state, "run": {"last": {"net": state}}},
        [],
    ),
    "an optimizer beside": (
        "optimizer.pth",
        lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        [],
    ),
    "capitals": ("UPPER.PTH", lambda state: {"model": state}, []),
    "Hugging Face's name": ("pytorch_model.bin", lambda state: state, []),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_weights_load_and_what_was_odd_is_said(wrapping: str, weights: State, tmp_path: Path) -> None:
    name, wrap, expected = WRAPPINGS[wrapping]
    torch.save(wrap(weights), tmp_path / name)
    said: list[str] = []
    found = pem.load(tmp_path / name, said.append)
    torch.testing.assert_close(dict(found.state_dict()), weights, rtol=0, atol=0)
    assert said == expected


def test_the_log_says_it_to_programs(weights: State, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"model": weights, "ema": zeros(weights)}, tmp_path / "both.pth")
    pem.load(tmp_path / "both.pth")
    assert "not their averages over training (ema)" in caplog.text
