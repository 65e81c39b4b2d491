"""Page-locked memory for one output, which the GPU writes and the caller keeps, without a copy between."""

from __future__ import annotations

import math
import weakref
from collections import deque
from contextlib import suppress

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pem_edge.runtime.backends.cuda.driver import CudaError, Gpu, HostView, Memory

_MOST_LENT = 4
"""Arrays lent at a time; more would lock too much of the machine's memory."""


class PinnedPool:
    """Lends memory as arrays. It comes back when the last view of an array is gone, from whichever thread that is.

    Garbage collection may strike anywhere, so nothing here takes a lock: adding to and taking from a deque or a set is
    atomic.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._free: deque[Memory] = deque()
        self._lent: set[Memory] = set()
        self._closed = False

    def lend(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """Return an array whose contents are arbitrary."""
        memory = self._fitting(math.prod(shape) * np.dtype(dtype).itemsize)
        view = HostView(memory.address, shape, dtype)
        self._lent.add(memory)
        weakref.finalize(view, self._take_back, memory).atexit = False
        return view.array()

    def keepable(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return ``array``, which was lent, or a copy of it if too many are lent already."""
        return array if len(self._lent) <= _MOST_LENT else array.copy()

    def close(self) -> None:
        """Free what is not lent now, and what is lent when it comes back."""
        self._closed = True
        while memory := self._pop():
            self._release(memory)

    def _fitting(self, size: int) -> Memory:
        """Return memory that is free and large enough, else new; what is free and too small makes room for it."""
        while memory := self._pop():
            if memory.size >= size:
                return memory
            self._release(memory)
        return Memory(size, pinned=True)

    def _pop(self) -> Memory | None:
        try:
            return self._free.popleft()
        except IndexError:
            return None

    def _take_back(self, memory: Memory) -> None:
        self._lent.discard(memory)
        self._free.append(memory)
        if self._closed:  # after the append: a close meanwhile sees the memory, or this does
            self.close()

    def _release(self, memory: Memory) -> None:
        with suppress(CudaError), self._gpu.current():
            memory.close()
