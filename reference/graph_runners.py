"""Runs a graph in a backend's own library, without anything of this package but OpenVINO's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pem_edge.runtime.backends.openvino import core

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
Run = Callable[[Path, NDArray[Any]], Arrays]  # Any: images, or normalized pixels


def with_onnxruntime(path: Path, image: NDArray[Any]) -> Arrays:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits, masks = session.run(["logits", "masks"], {"image": image})
    return logits, masks


def with_openvino(path: Path, image: NDArray[Any]) -> Arrays:
    outputs = core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"image": image})
    return outputs["logits"], outputs["masks"]


RUNNERS: dict[str, Run] = {
    "onnxruntime": with_onnxruntime,
    "openvino": with_openvino,
}
