"""Measures the bandwidth of memory and of caches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate

import numpy as np

from pem_edge.runtime.errors import BackendError

_SIZES = tuple(1 << power for power in range(18, 29))
"""Working sets in bytes, from what the caches of a core hold to what no cache holds."""

_TURNS, _SECONDS = 20, 0.002


_measured: dict[int, list[float]] = {}


def bandwidths(threads: int, *, anew: bool = False) -> tuple[tuple[int, float], ...]:
    """Return working sets in bytes, ascending, each with the bytes per second that threads read and write together.

    It is the fastest of several turns of copying or of reading alone: caches are faster at the one, memory at the
    other. Larger working sets count as having at most the bandwidth of smaller ones. It is measured once in a process.

    Args:
        threads: The number of threads.
        anew: Whether to measure once more. The higher rates count.

    Raises:
        BackendError: If so many threads cannot be started.
    """
    if threads not in _measured or anew:
        found = _measure(threads)
        _measured[threads] = list(map(max, found, _measured.get(threads, found)))
    falling = list(accumulate(reversed(_measured[threads]), max))
    return tuple(zip(_SIZES, reversed(falling), strict=True))


def _measure(threads: int) -> list[float]:
    with ThreadPoolExecutor(threads) as pool:
        return [_rate(pool, threads, size) for size in _SIZES]


def _rate(pool: ThreadPoolExecutor, threads: int, size: int) -> float:
    """Return bytes per second of threads that each copy or read their part of ``size`` bytes, whichever is faster."""
    fastest = max(_runs_per_second(pool, [make(size // threads) for _ in range(threads)]) for make in (_copy, _read))
    return fastest * size


def _runs_per_second(pool: ThreadPoolExecutor, calls: Sequence[Callable[[], object]]) -> float:
    """Return how many times a second all calls run at once, in the fastest of several turns."""
    repeats = max(1, int(_SECONDS / _seconds(calls[0])))
    start = threading.Barrier(len(calls))
    try:
        turns = [list(pool.map(partial(_repeat, repeats=repeats, start=start), calls)) for _ in range(_TURNS)]
    except RuntimeError as error:  # such as that no thread can be started, for which the others would wait
        start.abort()
        raise BackendError(f"the bandwidth cannot be measured: {error}") from error
    return repeats / min(max(end for _, end in turn) - min(start for start, _ in turn) for turn in turns)


def _copy(size: int) -> partial[None]:
    """Return a call that reads one half of ``size`` bytes and writes the other.

    Both halves are written before: pages that never were are all one page of zeros, which stays in the first cache.
    """
    return partial(np.copyto, np.ones(size // 2, np.uint8), np.ones(size // 2, np.uint8))


def _read(size: int) -> partial[object]:
    return partial(np.bitwise_or.reduce, np.ones(size // 8, np.int64))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _repeat(call: Callable[[], object], repeats: int, start: threading.Barrier) -> tuple[float, float]:
    """Call when all threads are ready, and return when that began and ended."""
    start.wait()
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return begin, time.perf_counter()
