"""TensorRT and TensorRT-RTX on NVIDIA GPUs."""

from pem_edge.runtime.backends.tensorrt.backend import TensorRt, TensorRtRtx

__all__ = ["TensorRt", "TensorRtRtx"]
