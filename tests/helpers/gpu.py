"""Detects a GPU."""

from __future__ import annotations

from pem_edge.runtime.backends.cuda import driver
from pem_edge.runtime.errors import BackendError


def has_gpu() -> bool:
    """Return whether CUDA finds a GPU that it can use."""
    try:
        driver.Gpu()
    except BackendError:
        return False
    return True
