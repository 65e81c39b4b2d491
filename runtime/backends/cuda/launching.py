"""Kernels of ours on a GPU, and how long they take there."""

from __future__ import annotations

import ctypes
from typing import Any

from pem_edge.runtime.backends.cuda.driver import call


class Module:
    """Compiled kernels, ``cubin``, loaded for the current GPU. Raises BackendError if they are not for it."""

    def __init__(self, cubin: bytes) -> None:
        self._module = call("cuModuleLoadData", cubin)
        self._functions: dict[str, Any] = {}

    def launch(
        self, kernel: str, blocks: tuple[int, int], threads: int, shared: int, argument: ctypes.Structure, stream: Any
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


class Stopwatch:
    """Times what is put on ``stream``, at most ``laps`` of it, without waiting for it."""

    def __init__(self, stream: Any, laps: int) -> None:
        self._stream = stream
        self._events = [call("cudaEventCreateWithFlags", 0) for _ in range(laps + 1)]
        self._names: list[str] = []

    def start(self) -> None:
        """Begin the first lap."""
        self._names = []
        call("cudaEventRecord", self._events[0], self._stream)

    def lap(self, name: str) -> None:
        """End a lap, which is called ``name``, and begin the next."""
        self._names.append(name)
        call("cudaEventRecord", self._events[len(self._names)], self._stream)

    def milliseconds(self) -> dict[str, float]:
        """Of each lap, in order. The stream must have been waited for."""
        laps = zip(self._names, self._events, self._events[1:], strict=False)
        return {name: float(call("cudaEventElapsedTime", start, end)) for name, start, end in laps}

    def close(self) -> None:
        """Free its events."""
        for event in self._events:
            call("cudaEventDestroy", event)
