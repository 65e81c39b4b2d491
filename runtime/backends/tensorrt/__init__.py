"""TensorRT and TensorRT-RTX on NVIDIA GPUs."""

from pem_edge.runtime.backends.tensorrt.backend import TensorRtBackend, TensorRtRtxBackend

__all__ = ["TensorRtBackend", "TensorRtRtxBackend"]
