"""The kernels compile for every GPU that is supported, without warnings and without spilling registers to memory."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime.plugins.library import SOURCES


def nvcc() -> str:
    found = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if found is None:
        pytest.skip("no nvcc: install CUDA's toolkit to compile the plugin's kernels")
    return found


@pytest.mark.parametrize("source", ["simple_kernel.cu", "fused_kernel.cu"])
@pytest.mark.parametrize("architecture", [87, 89, 90, 110, 120])
def test_kernels_compile_for(tmp_path: Path, architecture: int, source: str) -> None:
    known = subprocess.run([nvcc(), "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout.split()
    if f"compute_{architecture}" not in known:
        pytest.skip(f"this nvcc does not know compute capability {architecture / 10}")
    options = ["-std=c++17", f"-arch=sm_{architecture}", "-Xcompiler=-Wall,-Wextra", "-Werror=all-warnings"]
    command = [nvcc(), *options, "-Xptxas=-v", "-c", str(SOURCES / source), "-o", str(tmp_path / "kernel.o")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    spills = [int(bytes_) for bytes_ in re.findall(r"(\d+) bytes spill stores", result.stderr)]
    assert spills, "ptxas said nothing about registers"
    assert max(spills) == 0
