"""Compiles CUDA sources with nvcc, which needs no GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ARCHITECTURES = (87, 89, 90, 110, 120)
"""Compute capabilities of the supported GPUs, without the point: Orin, Ada, Hopper, Thor and Blackwell."""


def check_compilation(source: Path, architecture: int, folder: Path) -> None:
    """Check that a source compiles without warnings or register spills.

    Skips the test if there is no nvcc that supports the architecture.
    """
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None:
        pytest.skip("no nvcc: install CUDA's toolkit to compile the kernels")
    known = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout.split()
    if f"compute_{architecture}" not in known:
        pytest.skip(f"this nvcc does not know compute capability {architecture / 10}")
    options = ["-std=c++17", f"-arch=sm_{architecture}", "-Xcompiler=-Wall,-Wextra", "-Werror=all-warnings"]
    command = [nvcc, *options, "-Xptxas=-v", "-c", str(source), "-o", str(folder / "kernel.o")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    spills = [int(bytes_) for bytes_ in re.findall(r"(\d+) bytes spill stores", result.stderr)]
    assert spills, "ptxas said nothing about registers"
    assert max(spills) == 0
