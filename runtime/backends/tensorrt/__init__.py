"""TensorRT and TensorRT-RTX on NVIDIA GPUs."""

from runtime.backends.tensorrt.backend import TensorRt, TensorRtRtx

__all__ = ["TensorRt", "TensorRtRtx"]
