"""Detects the compiler that the kernels' stand-ins on the host need."""

from __future__ import annotations

import shutil

import pytest


def require_host_compiler() -> None:
    """Skip the test if there is no g++."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the kernels for the host")
