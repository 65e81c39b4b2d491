"""Compiles the pipeline's kernels for the host with g++, and runs them through ctypes."""

from __future__ import annotations

import ctypes
import tempfile
from functools import cache
from pathlib import Path

from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from reference.host_cuda.compiling import HOST_CUDA, compile_library

SOURCES = Path(__file__).parents[2] / "runtime" / "backends" / "tensorrt" / "kernels"


def compile_for_host(folder: Path) -> Path:
    """Compile the kernels in ``folder``, and return the library's path; see `compile_library` for errors."""
    options = [f"-I{SOURCES}", "-include", "cuda_runtime.h"]
    return compile_library(folder / "kernels_on_host.so", [HOST_CUDA / "kernels_api.cpp"], options)


class HostKernels:
    """The kernels of a library that `compile_for_host` built. Runs one launch at a time."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.argument_bytes.restype = ctypes.c_size_t
        self._library.layout.restype = ctypes.POINTER(ctypes.c_size_t)

    def argument_bytes(self, kernel: str) -> int:
        """Return the size of the kernel's only argument, or 0 if there is no such kernel."""
        return int(self._library.argument_bytes(kernel.encode()))

    def launch(self, kernel: str, blocks: tuple[int, int], threads: int, shared: int, argument: int) -> str:
        """Run a kernel with the argument at an address, and return "" or the description of a failure."""
        message = ctypes.create_string_buffer(1024)
        error = self._library.launch(kernel.encode(), *blocks, threads, shared, ctypes.c_void_p(argument), message)
        return f"error {error}: {message.value.decode()}" if error else ""

    def run(self, launch: Launch, threads: int) -> None:
        """Run a launch. Raises RuntimeError if it fails."""
        if ctypes.sizeof(launch.argument) != self.argument_bytes(launch.kernel):
            raise RuntimeError(f"{launch.kernel} takes {self.argument_bytes(launch.kernel)} bytes")
        address = ctypes.addressof(launch.argument)
        if problem := self.launch(launch.kernel, launch.blocks, threads, launch.shared, address):
            raise RuntimeError(f"{launch.kernel}: {problem}")

    def layout(self, count: int) -> list[int]:
        """Return the first ``count`` values of the function `layout` in kernels_api.cpp."""
        return [int(value) for value in self._library.layout()[:count]]


@cache
def host_kernels() -> HostKernels:
    """Return the kernels, compiled once per process."""
    with tempfile.TemporaryDirectory() as folder:
        return HostKernels(compile_for_host(Path(folder)))
