"""A pool of page-locked memory, for arrays that the GPU reads or writes and callers may keep without a copy."""

from __future__ import annotations

import math
import weakref
from collections import deque
from contextlib import suppress

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pem_edge.runtime.backends.cuda.driver import CudaError, Gpu, HostView, Memory

_MAX_KEPT = 4
"""Number of arrays that callers may keep at a time; more would lock too much of the machine's memory."""


class PinnedPool:
    """Allocates arrays in page-locked memory, and reuses the memory of an array once its last view is gone.

    Python may release the last view in any thread and at any point, also while this object's methods run. So there is
    no lock, which could deadlock; instead, all changes are atomic operations of a deque or a set.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._free: deque[Memory] = deque()
        self._kept: set[int] = set()  # addresses of the arrays that `keep` returned and that are still alive
        self._closed = False

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """Return an uninitialized array.

        Raises:
            BackendError: If there is not enough memory.
        """
        memory = self._acquire(math.prod(shape) * np.dtype(dtype).itemsize)
        view = HostView(memory.address, shape, dtype)
        # At exit, arrays may still be in use, and CUDA may be gone.
        weakref.finalize(view, self._reclaim, memory).atexit = False
        return view.array()

    def keep(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return an array for the caller to keep: ``array``, which `allocate` returned, or a copy in ordinary memory.

        It is a copy if callers keep too many of the pool's arrays already. Arrays in flight do not count, as there are
        only a few; nor do threads that call at the same time count one another's arrays.
        """
        address = array.ctypes.data
        if address not in self._kept and len(self._kept) >= _MAX_KEPT:
            return array.copy()
        self._kept.add(address)
        return array

    def close(self) -> None:
        """Free the memory that is not in use, and the rest as soon as its arrays are gone."""
        self._closed = True
        while memory := self._pop():
            self._release(memory)

    def _acquire(self, size: int) -> Memory:
        """Return at least ``size`` bytes, unused or newly allocated; unused blocks that are too small are freed."""
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

    def _reclaim(self, memory: Memory) -> None:
        self._kept.discard(memory.address)  # before another array can have this memory
        self._free.append(memory)
        if self._closed:  # checked after the append, so that a concurrent `close` or this one frees the memory
            self.close()

    def _release(self, memory: Memory) -> None:
        with suppress(CudaError), self._gpu.current():
            memory.close()
