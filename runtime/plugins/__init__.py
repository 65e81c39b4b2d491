"""TensorRT plugins: their sources, and where a built library lies."""

from runtime.plugins.library import find

__all__ = ["find"]
