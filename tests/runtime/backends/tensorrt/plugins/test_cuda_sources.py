"""The plugin's kernels compile for every supported GPU, without warnings or register spills."""

from __future__ import annotations

from pathlib import Path

import pytest

from pem_edge.runtime.backends.tensorrt.plugins.library import SOURCES
from tests.helpers.nvcc import ARCHITECTURES, check_compilation


@pytest.mark.parametrize("source", ["kernels/simple_kernel.cu", "kernels/fused_kernel.cu"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_for(tmp_path: Path, architecture: int, source: str) -> None:
    check_compilation(SOURCES / source, architecture, tmp_path)
