"""Weights load as training scripts wrap them, and what was taken off or left out is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pem_edge import pem
from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.wrappings import unwrap
from pem_edge.runtime.errors import CheckpointError

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
        ["left out 1 tensor of loss", "took the prefix 'net.' off the names of tensors"],
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
        ["took the weights model, not their averages over training (ema_state): --part ema_state takes those"],
    ),
    "averages of other names before": (
        "both.pth",
        lambda state: {"model-ema": zeros(state), "shadow": zeros(state), "model": state},
        [
            "took the weights model, not their averages over training (model-ema, shadow): "
            "--part model-ema or --part shadow takes those"
        ],
    ),
    "averages whose names are in camel case": (
        "both.pth",
        lambda state: {"emaModel": zeros(state), "netEMA": zeros(state), "EMAWeights": zeros(state), "net": state},
        [
            "took the weights net, not their averages over training (emaModel, netEMA, EMAWeights): "
            "--part emaModel or --part netEMA or --part EMAWeights takes those"
        ],
    ),
    "weights that are only spelled like averages": (
        "cinema.pth",
        lambda state: {"cinemaNet": state, "net": {"emanate": torch.ones(1)}},
        ["left out 1 tensor in net"],
    ),
    "weights that are called optimal": (
        "optimal.pth",
        lambda state: {"optimal": state, "optimizer": {"net": zeros(state)}},
        [],
    ),
    "a step beside": (
        "step.pth",
        lambda state: {"step": torch.tensor(7), "net": state},
        ["left out 1 tensor in the top"],
    ),
    "an average that is the model itself": (
        "same.pth",
        lambda state: {"ema": state, "run": {"last": {"net": state}}},
        [],
    ),
    "the model itself, named deeper first": (
        "same.pth",
        lambda state: {"run": {"last": {"net": state}}, "ema": state},
        [],
    ),
    "an optimizer beside": (
        "optimizer.pth",
        lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        [],
    ),
    "torch.compile of a part": (
        "compiled.pth",
        lambda state: {name.replace("backbone.", "backbone._orig_mod."): each for name, each in state.items()},
        ["took '_orig_mod.' out of the names of tensors"],
    ),
    "a list": ("list.pth", lambda state: [3, {"net": state}], []),
    "mmengine's averages": (
        "iter_9.pth",
        lambda state: {
            "meta": {"epoch": 3},
            "state_dict": state,
            "message_hub": {},
            "ema_state_dict": {"steps": torch.tensor(9), **prefixed("module.", zeros(state))},
        },
        [
            "took the weights state_dict, where mmengine saves averages over training, not those of the last step "
            "(ema_state_dict): --part ema_state_dict takes those",
        ],
    ),
    "averages of older mmcv": (
        "iter_8.pth",
        lambda state: {**state, **{f"ema_{name.replace('.', '_')}": each for name, each in list(state.items())[:2]}},
        ["left out 2 tensors of ema_backbone_features_0_bn_weight, ema_backbone_features_0_conv_weight"],
    ),
    "averages of PyTorch alone": (
        "swa.pth",
        lambda state: {"n_averaged": torch.tensor(5), **prefixed("module.", state)},
        [
            "the weights are averages over training (at the top), there are no others",
            "left out 1 tensor of n_averaged",
            "took the prefix 'module.' off the names of tensors",
        ],
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


OURS = ("backbone.stem.weight", "pixel_decoder.context.weight", "decoder.class_head.bias", "decoder.layers.0.norm.bias")
LAYOUTS = {
    "ours": OURS,
    "detectron2": ("backbone.stem.weight", "sem_seg_head.predictor.class_embed.bias", "pixel_mean"),
    "Hugging Face": (
        "model.pixel_level_module.encoder.embeddings.norm.bias",
        "model.pixel_level_module.decoder.level_embed",
        "model.transformer_module.level_embed.weight",
        "class_predictor.bias",
        "criterion.empty_weight",
    ),
    "mmdetection": ("data_preprocessor.mean", "backbone.conv1.weight", "panoptic_head.pixel_decoder.mask_feature.bias"),
    "mmsegmentation": ("backbone.conv1.weight", "decode_head.cls_embed.bias"),
}
CLASSIFIERS = {
    "torchvision": ("conv1.weight", "layer1.0.conv1.weight", "fc.bias"),
    "STDC": ("features.0.conv.weight", "features.1.bn.bias"),
    "Swin": ("patch_embed.proj.weight", "layers.0.blocks.0.norm1.bias"),
    "one of mmpretrain": ("backbone.conv1.weight", "head.fc.bias"),
}
PREFIXES = st.lists(st.sampled_from(["module.", "_orig_mod.", "model.", "net.", "student."]), max_size=4).map("".join)
KEYS = st.lists(st.sampled_from(["model", "state_dict", "weights", "run"]), max_size=3)


def small(names: tuple[str, ...]) -> State:
    return {name: torch.full((2,), float(index)) for index, name in enumerate(names)}


def quiet(_: str) -> None:
    pass


@given(st.sampled_from([*LAYOUTS.values(), *CLASSIFIERS.values()]), PREFIXES, KEYS, st.booleans())
def test_any_nesting_of_wrappers_comes_off(names: tuple[str, ...], prefix: str, keys: list[str], listed: bool) -> None:
    expected = small(names)
    document: Any = prefixed(prefix, expected)
    for key in keys:
        document = {key: document, "step": 3, "optimizer": {"state": {0: torch.ones(1)}}}
    found = unwrap([document] if listed else document, quiet)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def names_said(document: Value, part: str | None = None) -> list[str]:
    said: list[str] = []
    unwrap(document, said.append, part)
    return said


BESIDE: dict[str, tuple[str, Callable[[State, State], Any]]] = {
    "detectron2": ("ema_state", lambda model, average: {"model": model, "ema_state": average}),
    "detectron2, deeper": (
        "ema_state.state_dict",
        lambda model, average: {"model": model, "ema_state": {"state_dict": average}},
    ),
    "timm": ("state_dict_ema", lambda model, average: {"state_dict": model, "state_dict_ema": average}),
    "torchvision": (
        "model_ema",
        lambda model, average: {
            "model": model,
            "model_ema": {"n_averaged": torch.tensor(3), **prefixed("module.", average)},
        },
    ),
    "a callback of Lightning": (
        "callbacks.EMA.ema_state_dict",
        lambda model, average: {
            "state_dict": prefixed("model.", model),
            "callbacks": {"EMA": {"ema_state_dict": average}},
        },
    ),
    "Lightning": (
        "state_dict.ema_model.module",
        lambda model, average: {"state_dict": prefixed("model.", model) | prefixed("ema_model.module.", average)},
    ),
    "within the model": ("model_ema", lambda model, average: model | prefixed("model_ema.", average)),
    "Ultralytics": ("ema", lambda model, average: {"model": model, "ema": average, "updates": 3}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", BESIDE)
def test_averages_beside_the_model_are_named_and_can_be_chosen(kind: str, layout: str) -> None:
    name, wrap = BESIDE[kind]
    model, average = small(LAYOUTS[layout]), zeros(small(LAYOUTS[layout]))
    document = wrap(model, average)
    torch.testing.assert_close(unwrap(document, quiet), model, rtol=0, atol=0)
    torch.testing.assert_close(unwrap(document, quiet, name), average, rtol=0, atol=0)
    said = names_said(document)[0]
    assert said.startswith("took the weights ")
    assert said.endswith(f", not their averages over training ({name}): --part {name} takes those")
    assert not any("averages" in each for each in names_said(document, name))


def test_a_part_that_is_not_there_is_an_error_that_lists_those_that_are(weights: State, tmp_path: Path) -> None:
    path = tmp_path / "both.pth"
    torch.save({"model": weights, "ema": {"only": torch.ones(2)}}, path)
    with pytest.raises(CheckpointError) as caught:
        checkpoints.read(path, quiet, "average")
    counts = f"model ({len(weights)} tensors), ema (1 tensor)"
    assert str(caught.value).startswith(f"{path} has no part 'average', expected one of {counts}: name one, ")


def test_two_models_are_told_apart_by_their_prefix() -> None:
    student, teacher = small(OURS), zeros(small(OURS))
    document = {"state_dict": prefixed("student.", student) | prefixed("teacher.", teacher)}
    assert names_said(document)[0] == (
        "took the weights state_dict.student, not their averages over training (state_dict.teacher): --part "
        "state_dict.teacher takes those"
    )
    torch.testing.assert_close(unwrap(document, quiet, "state_dict.teacher"), teacher, rtol=0, atol=0)


@pytest.mark.parametrize("part", [None, "model", "ema"])
def test_only_the_weights_that_are_taken_must_be_finite(part: str | None, tmp_path: Path) -> None:
    path = tmp_path / "both.pth"
    torch.save({"model": small(OURS), "ema": small(OURS) | {OURS[2]: torch.tensor([1.0, float("nan")])}}, path)
    if part == "ema":
        with pytest.raises(CheckpointError, match=r"decoder\.class_head\.bias holds values that are not finite"):
            checkpoints.read(path, quiet, part)
    else:
        assert len(checkpoints.read(path, quiet, part)) == len(OURS)


def test_another_architecture_keeps_its_names() -> None:
    names = ("segformer.encoder.block.0.0.layer_norm_1.bias", "segformer.encoder.layer_norm.0.weight")
    assert set(unwrap(small(names), quiet)) == set(names), "by which it is recognized as foreign"


def test_a_small_student_is_preferred_to_a_large_teacher(weights: State, tmp_path: Path) -> None:
    teacher = {f"{name}.{copy}": tensor for name, tensor in weights.items() for copy in range(3)}
    torch.save({"student": weights, "teacher": teacher}, tmp_path / "distilled.pth")
    said: list[str] = []
    assert pem.load(tmp_path / "distilled.pth", said.append).variant == "pem-nano"
    assert said == ["took the weights student, not their averages over training (teacher): --part teacher takes those"]


def test_a_name_with_and_without_a_wrapper_is_refused(weights: State, tmp_path: Path) -> None:
    wrapped = {name.replace("backbone.", "backbone._orig_mod."): tensor for name, tensor in weights.items()}
    torch.save({**wrapped, **{name: tensor + 1 for name, tensor in weights.items()}}, tmp_path / "twice.pth")
    with pytest.raises(CheckpointError, match=r"has the tensor 'backbone\..*' with '_orig_mod\.' and without"):
        pem.load(tmp_path / "twice.pth", quiet)
