"""Runs ONNX graphs in ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pem_edge.runtime.backends import Settings
from pem_edge.runtime.backends.ort_sessions import QDQ_OPTIMIZERS, open_session

if TYPE_CHECKING:
    import onnxruntime as ort


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """Open ``model`` in ONNX Runtime on the CPU, without fusing Q/DQ pairs into INT8 kernels."""
    return open_session(model.SerializeToString(), Settings(), QDQ_OPTIMIZERS, provider="cpu")
