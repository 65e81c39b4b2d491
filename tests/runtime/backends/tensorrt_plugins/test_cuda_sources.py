"""The kernels compile for every GPU that is supported, without warnings and without spilling registers to memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from pem_edge.runtime.backends.tensorrt.plugins.library import SOURCES
from tests.helpers.nvcc import ARCHITECTURES, compiles_well


@pytest.mark.parametrize("source", ["kernels/simple_kernel.cu", "kernels/fused_kernel.cu"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_for(tmp_path: Path, architecture: int, source: str) -> None:
    compiles_well(SOURCES / source, architecture, tmp_path)
