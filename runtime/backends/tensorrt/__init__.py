"""The TensorRT and TensorRT-RTX backends, for NVIDIA GPUs."""

from pem_edge.runtime.backends.tensorrt.backend import TensorRtBackend, TensorRtRtxBackend

__all__ = ["TensorRtBackend", "TensorRtRtxBackend"]
