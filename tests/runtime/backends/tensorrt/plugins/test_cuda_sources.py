"""The plugin's kernels compile for every supported GPU without warnings or register spills, and keep banks apart."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from pem_edge.runtime.backends.tensorrt.plugins.library import SOURCES
from tests.helpers.nvcc import ARCHITECTURES, check_compilation


@pytest.mark.parametrize("source", ["kernels/simple_kernel.cu", "kernels/fused_kernel.cu"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_for(tmp_path: Path, architecture: int, source: str) -> None:
    check_compilation(SOURCES / source, architecture, tmp_path)


@pytest.mark.parametrize("outputs", [64, 128])
@pytest.mark.parametrize("pixels", [16, 32, 64, 128])
def test_threads_never_wait_for_a_bank_of_shared_memory(host: ctypes.CDLL, pixels: int, outputs: int) -> None:
    counts = (ctypes.c_int * 4)()
    host.half_tile_conflicts(pixels, outputs, counts)
    named = dict(zip(("write corners", "read corners", "write samples", "read samples"), counts, strict=True))
    assert named == dict.fromkeys(named, 1)
