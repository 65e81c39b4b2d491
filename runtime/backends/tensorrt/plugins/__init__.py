"""The sources of the TensorRT plugin, and the search for its built library."""

from pem_edge.runtime.backends.tensorrt.plugins.library import find

__all__ = ["find"]
