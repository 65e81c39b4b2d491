"""A small model as an ONNX artifact, and a machine to build on."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.tensorrt.targets import TARGETS, load
from pem_edge.runtime.artifacts import artifact


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    """Return the demo's model alone, its manifest inside."""
    path = tmp_path / "street.onnx"
    shutil.copyfile(artifact.read(artifact.DEMO).model, path)
    return path


def machine(target: str = "trt") -> Machine:
    """Return this machine as if TensorRT-RTX were TensorRT, and had a GPU to build on."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    gpu: Any = SimpleNamespace(name="NVIDIA Orin (nvgpu)", compute_capability="8.7")
    return Machine(TARGETS[target], load(TARGETS["trt-rtx"]), gpu)
