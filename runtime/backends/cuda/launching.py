"""Kernels of ours on a GPU, and how long they take there."""

from __future__ import annotations

import ctypes
from typing import SupportsInt

from pem_edge.runtime.backends.cuda.driver import call


class Module:
    """Compiled kernels, ``cubin``, loaded for the current GPU. Raises BackendError if they are not for it."""

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
        """Put a kernel that takes one structure on ``stream``; ``shared`` is in bytes. The argument is copied."""
        if kernel not in self._functions:
            self._functions[kernel] = call("cuModuleGetFunction", self._module, kernel.encode())
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        grid = (*blocks, 1, threads, 1, 1)
        call("cuLaunchKernel", self._functions[kernel], *grid, shared, int(stream), ctypes.addressof(pointers), 0)

    def close(self) -> None:
        """Unload them."""
        call("cuModuleUnload", self._module)


class StageTimer:
    """Times the stages of what is put on a stream, without waiting for it."""

    def __init__(self, stream: SupportsInt) -> None:
        self._stream = stream
        self._events: list[object] = []
        self._names: list[str] = []

    def start(self) -> None:
        """Begin the first stage."""
        self._names = []
        self._record(0)

    def end(self, stage: str) -> None:
        """End the stage called ``stage``, and begin the next. A stage may come more than once."""
        self._names.append(stage)
        self._record(len(self._names))

    def milliseconds(self) -> dict[str, float]:
        """Return the time of each stage, in the order they began. The stream must have been synchronized."""
        found: dict[str, float] = {}
        for name, start, end in zip(self._names, self._events, self._events[1:], strict=False):
            found[name] = found.get(name, 0.0) + float(call("cudaEventElapsedTime", start, end))
        return found

    def _record(self, index: int) -> None:
        if index == len(self._events):
            self._events.append(call("cudaEventCreateWithFlags", 0))
        call("cudaEventRecord", self._events[index], self._stream)

    def close(self) -> None:
        """Free its events."""
        for event in self._events:
            call("cudaEventDestroy", event)
