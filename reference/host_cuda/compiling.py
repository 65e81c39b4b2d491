"""Compiles CUDA sources for the host with g++."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HOST_CUDA = Path(__file__).parent
_OPTIONS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
_ALIASING = "-fno-strict-aliasing"  # nvcc allows aliasing


def compile_library(target: Path, sources: Sequence[Path], options: Sequence[str]) -> Path:
    """Compile ``sources`` and what runs their threads into the library ``target``, and return its path.

    Raises RuntimeError where there is no g++, or the sources do not compile.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise RuntimeError("no g++ to compile the kernels for the host: install it")
    command = [compiler, *_OPTIONS, _ALIASING, *options, f"-I{HOST_CUDA}"]
    files = [str(source) for source in (*sources, HOST_CUDA / "host_cuda.cpp")]
    done = subprocess.run([*command, *files, "-o", str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the kernels do not compile for the host: {done.stderr}")
    return target
