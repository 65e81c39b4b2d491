"""Launches compiled kernels on a GPU, and times the stages of a stream."""

from __future__ import annotations

import ctypes
from typing import SupportsInt

from pem_edge.runtime.backends.cuda.driver import call


class Module:
    """Compiled kernels, loaded on the current GPU.

    Args:
        cubin: The kernels' binary.

    Raises:
        CudaError: If the binary is not for this GPU.
    """

    def __init__(self, cubin: bytes) -> None:
        self._module = call("cuModuleLoadData", cubin)
        self._functions: dict[str, object] = {}

    def launch(
        self,
        kernel: str,
        blocks: tuple[int, int],
        threads: int,
        shared: int,
        argument: ctypes.Structure,
        stream: SupportsInt,
    ) -> None:
        """Enqueue a kernel that takes one structure.

        Args:
            kernel: The kernel's name.
            blocks: The number of blocks in x and y.
            threads: The number of threads per block.
            shared: Bytes of dynamic shared memory per block.
            argument: The kernel's argument, which is copied.
            stream: The stream to enqueue on.

        Raises:
            CudaError: If there is no such kernel, or it cannot be launched.
        """
        if kernel not in self._functions:
            self._functions[kernel] = call("cuModuleGetFunction", self._module, kernel.encode())
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        grid = (*blocks, 1, threads, 1, 1)
        call("cuLaunchKernel", self._functions[kernel], *grid, shared, int(stream), ctypes.addressof(pointers), 0)

    def close(self) -> None:
        """Unload the kernels."""
        call("cuModuleUnload", self._module)


class StageTimer:
    """Times consecutive stages of a stream's work with CUDA events, without waiting for the stream."""

    def __init__(self, stream: SupportsInt) -> None:
        self._stream = stream
        self._events: list[object] = []
        self._names: list[str] = []

    def start(self) -> None:
        """Begin the first stage, and forget the stages before."""
        self._names = []
        self._record(0)

    def end(self, stage: str) -> None:
        """End the current stage, under the name ``stage``, and begin the next. Times of equal names add up."""
        self._names.append(stage)
        self._record(len(self._names))

    def milliseconds(self) -> dict[str, float]:
        """Return the milliseconds of each stage, in order. The stream must have been synchronized."""
        found: dict[str, float] = {}
        for name, start, end in zip(self._names, self._events, self._events[1:], strict=False):
            found[name] = found.get(name, 0.0) + float(call("cudaEventElapsedTime", start, end))
        return found

    def _record(self, index: int) -> None:
        if index == len(self._events):
            self._events.append(call("cudaEventCreateWithFlags", 0))
        call("cudaEventRecord", self._events[index], self._stream)

    def close(self) -> None:
        """Free the events."""
        for event in self._events:
            call("cudaEventDestroy", event)
