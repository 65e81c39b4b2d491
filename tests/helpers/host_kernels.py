"""The pipeline's kernels compiled for the host with g++, through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch

HOST_CUDA = Path(__file__).parent / "host_cuda"
SOURCES = Path(__file__).parents[2] / "runtime" / "backends" / "tensorrt" / "kernels"


def compile_for_host(folder: Path, *options: str) -> Path:
    """Build the library. Skips where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the kernels for the host")
    target = folder / "kernels_on_host.so"
    command = [compiler, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing", "-fPIC", "-shared"]
    command += [*options, f"-I{HOST_CUDA}", f"-I{SOURCES}", "-include", "cuda_runtime.h"]
    sources = [str(HOST_CUDA / name) for name in ("kernels_api.cpp", "host_cuda.cpp")]
    result = subprocess.run([*command, *sources, "-o", str(target)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return target


class HostKernels:
    """The kernels of a library that `compile_for_host` made. One launch at a time."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.argument_bytes.restype = ctypes.c_size_t
        self._library.layout.restype = ctypes.POINTER(ctypes.c_size_t)

    def argument_bytes(self, kernel: str) -> int:
        """Of the kernel's one argument; 0 if there is no such kernel."""
        return int(self._library.argument_bytes(kernel.encode()))

    def launch(self, kernel: str, blocks: tuple[int, int], threads: int, shared: int, argument: int) -> str:
        """Run it with the argument at that address; "" or what went wrong."""
        message = ctypes.create_string_buffer(1024)
        error = self._library.launch(kernel.encode(), *blocks, threads, shared, ctypes.c_void_p(argument), message)
        return f"error {error}: {message.value.decode()}" if error else ""

    def run(self, launch: Launch, threads: int) -> None:
        """Run it; nothing may go wrong."""
        assert ctypes.sizeof(launch.argument) == self.argument_bytes(launch.kernel)
        address = ctypes.addressof(launch.argument)
        assert self.launch(launch.kernel, launch.blocks, threads, launch.shared, address) == ""

    def layout(self, count: int) -> list[int]:
        """Return sizes, places and constants, see kernels_api.cpp."""
        return [int(value) for value in self._library.layout()[:count]]


@cache
def host_kernels() -> HostKernels:
    """Return the kernels, compiled once a process."""
    with tempfile.TemporaryDirectory() as folder:
        return HostKernels(compile_for_host(Path(folder)))
