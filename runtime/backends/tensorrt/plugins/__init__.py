"""TensorRT plugins: their sources, and where a built library lies."""

from pem_edge.runtime.backends.tensorrt.plugins.library import find

__all__ = ["find"]
