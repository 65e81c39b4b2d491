"""Simulates a host with GPUs, because the machines that run these tests have no GPU.

A stream does its work only when someone waits for it, so that reading results too early gives wrong numbers. What would
be undefined on a GPU (using memory after it was freed, freeing memory in use, copying from memory that is not
page-locked, calls in another context, streams that use the same memory without waiting for each other) is recorded in
`Machine.faults`. `Machine.leaks` returns what was not freed. The simulation shows nothing about speed, nor that a real
GPU behaves the same.
"""
# ruff: noqa: N815  # CUDA's names

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.cuda_simulation.order import Clock, Order

_LEGACY = 1


class Error(IntEnum):
    """See ``cudaError_t``."""

    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorInvalidResourceHandle = 400
    cudaErrorNotReady = 600
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class DriverError(IntEnum):
    """See ``CUresult``."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_INVALID_IMAGE = 200
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_NOT_FOUND = 500


class CompilerError(IntEnum):
    """See ``nvrtcResult``."""

    NVRTC_SUCCESS = 0
    NVRTC_ERROR_INVALID_OPTION = 5


class Kind(IntEnum):
    """See ``cudaMemoryType``."""

    cudaMemoryTypeUnregistered = 0
    cudaMemoryTypeHost = 1
    cudaMemoryTypeDevice = 2


class Handle:
    """An object that CUDA represents by a handle."""

    def __int__(self) -> int:
        return id(self)


@dataclass(eq=False)
class Context(Handle):
    """A CUDA context."""

    device: int


@dataclass(eq=False)
class Block:
    """Allocated memory."""

    kind: Kind
    context: Context
    data: NDArray[np.uint8]
    live: bool = True

    @property
    def address(self) -> int:
        """The address of the first byte."""
        return int(self.data.ctypes.data)


@dataclass(eq=False)
class Work:
    """Work of a stream, and the memory that it reads and writes."""

    run: Callable[[], None]
    reads: list[Block] = field(default_factory=list)
    writes: list[Block] = field(default_factory=list)
    done: bool = False
    end: Clock = field(default_factory=dict)

    @property
    def blocks(self) -> list[Block]:
        """The memory that the work uses."""
        return [*self.reads, *self.writes]


@dataclass(eq=False)
class Stream(Handle):
    """A stream, with its pending work and the work being recorded, if any."""

    context: Context | None
    pending: deque[Work] = field(default_factory=deque)
    recorded: list[Work] | None = None
    spoiled: bool = False

    def __int__(self) -> int:
        return _LEGACY if self.context is None else id(self)


@dataclass(eq=False)
class Event(Handle):
    """An event: ``work`` completes it, ``time`` is the time of completion in seconds."""

    timed: bool = True
    work: Work | None = None
    time: float = 0.0


@dataclass(eq=False)
class Graph(Handle):
    """A recorded graph, or one made ready for launch."""

    works: list[Work]


class Machine:
    """The host and its GPUs: memory, streams, contexts, and what went wrong."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.names = [b"Simulated GPU A\0", b"Simulated GPU B\0"]
        self.capabilities = [(8, 9), (8, 7)]
        self.capacity = 1 << 30
        self.driver = True
        self.primary = [Context(0), Context(1)]
        self.blocks: list[Block] = []
        self.handles: list[Handle] = []
        self.launches = 0
        self.default = Stream(None)
        self.order = Order(self.fault)
        self.lock = threading.RLock()
        self._thread = threading.local()

    def leaks(self) -> list[object]:
        """Return the memory and handles that were not freed."""
        return [*(block for block in self.blocks if block.live), *self.handles]

    def fault(self, what: str) -> None:
        """Record that something is wrong."""
        self.faults.append(what)

    def current(self) -> Context | None:
        """Return this thread's context."""
        stack = self.contexts()
        return stack[-1] if stack else None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the machine during the block."""
        with self.lock:
            yield

    def block(self, address: int, size: int = 1) -> Block | None:
        """Return the block that contains these bytes, and record a fault if it has been freed."""
        for block in reversed(self.blocks):
            if block.address <= address and address + size <= block.address + block.data.size:
                if not block.live:
                    self.fault(f"{block.kind.name} memory is used after it was freed")
                return block
        return None

    def view(self, address: int, size: int) -> NDArray[np.uint8]:
        """Return the bytes at an address."""
        block = self.block(address, size)
        if block is None:
            self.fault("bytes outside of allocated memory are used")
            return np.zeros(size, np.uint8)
        start = address - block.address
        return block.data[start : start + size]

    def enqueue(self, stream: Any, work: Work) -> Error:
        """Put ``work`` on the stream, or into its recording."""
        target = self.stream(stream)
        if target is None or (target.context is not None and target.context is not self.current()):
            self.fault("a stream is used that is destroyed or another context's")
            return Error.cudaErrorInvalidResourceHandle
        if target.recorded is None:
            target.pending.append(work)
            work.end = self.order.add(target, work.reads, work.writes)
        else:
            target.recorded.append(work)
        return Error.cudaSuccess

    def stream(self, handle: Any) -> Stream | None:
        """Return the stream with the given handle."""
        return next((stream for stream in self.streams() if int(stream) == int(handle)), None)

    def streams(self) -> list[Stream]:
        """Return all streams."""
        return [self.default, *(item for item in self.handles if isinstance(item, Stream))]

    def finish(self, stream: Stream, last: Work | None = None) -> None:
        """Do the stream's pending work, up to ``last``."""
        while stream.pending and not (last is not None and last.done):
            work = stream.pending.popleft()
            work.run()
            work.done = True

    def add_handle(self, handle: Handle) -> Handle:
        """Record that ``handle`` was created, and return it."""
        self.handles.append(handle)
        return handle

    def remove_handle(self, handle: Handle) -> Error:
        """Record that ``handle`` was destroyed."""
        if handle not in self.handles:
            self.fault("something is destroyed twice")
            return Error.cudaErrorInvalidResourceHandle
        self.handles.remove(handle)
        return Error.cudaSuccess

    def contexts(self) -> list[Context]:
        """Return the contexts that this thread has pushed."""
        if not hasattr(self._thread, "contexts"):
            self._thread.contexts = []
        pushed: list[Context] = self._thread.contexts
        return pushed

    def context(self) -> Context:
        """Return this thread's context, after creating the first GPU's context if the thread has none."""
        if not self.contexts():
            self.contexts().append(self.primary[0])
        return self.contexts()[-1]
