"""Whether this machine has a GPU."""

from __future__ import annotations

from runtime.backends import cuda
from runtime.errors import BackendError


def has_gpu() -> bool:
    """Whether CUDA finds one that it can use."""
    try:
        cuda.Gpu()
    except BackendError:
        return False
    return True
