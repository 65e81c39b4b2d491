"""What trainers save beside the weights does not keep them from loading, and does not run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from pem_edge import pem
from pem_edge.pem.checkpoints.formats.torch_files import read_torch_file
from pem_edge.runtime.errors import CheckpointError


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what mmengine saves beside the weights: arrays, numbers and bound methods in an object of its own."""
    package = ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        __module__, __qualname__ = package.__name__, "HistoryBuffer"

        def __init__(self) -> None:
            self.history, self.last = np.arange(3.0), np.float64(0.5)
            self.statistics = {"mean": self.mean}

        def mean(self) -> float:
            return float(self.history.mean())

    package.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging", package.__name__):
        monkeypatch.setitem(sys.modules, name, package)
    return {"log_scalars": {"train/loss": HistoryBuffer()}}


class Call:
    """A pickle that calls ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("new_format", [True, False])
def test_weights_load_beside_a_history(tmp_path: Path, history: Any, *, new_format: bool) -> None:
    path, model = tmp_path / "iter_10.pth", pem.load("demo")
    document = {"state_dict": model.state_dict(), "message_hub": history}
    torch.save(document, path, _use_new_zipfile_serialization=new_format)
    assert pem.load(path).variant == model.variant


def test_other_code_beside_a_history_is_refused(tmp_path: Path, history: Any) -> None:
    path, canary = tmp_path / "a.pth", tmp_path / "ran"
    torch.save({"message_hub": history, "more": Call(Path.touch, canary)}, path)
    with pytest.raises(CheckpointError, match=r"asks to run (pathlib|builtins)\S+, which tensors do not need"):
        read_torch_file(path)
    assert not canary.exists()


def test_what_a_history_is_made_of_does_not_run(tmp_path: Path, history: Any) -> None:
    path = tmp_path / "a.pth"
    torch.save({"message_hub": history, "more": Call(getattr, "text", "upper")}, path)
    assert not callable(read_torch_file(path)["more"])


def test_what_a_history_is_made_of_is_refused_without_one(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"more": Call(getattr, "text", "upper")}, path)
    with pytest.raises(CheckpointError, match="asks to run"):
        read_torch_file(path)
