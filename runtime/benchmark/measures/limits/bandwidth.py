"""Measures the bandwidth of memory and caches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate

import numpy as np

_SIZES = tuple(1 << power for power in (18, 20, 22, 24, 26, 28))
"""Working sets in bytes, from what the caches of a core hold to what no cache holds."""

_TURNS, _SECONDS = 20, 0.002


_measured: dict[int, list[float]] = {}


def bandwidths(threads: int, *, anew: bool = False) -> tuple[tuple[int, float], ...]:
    """Return working sets in bytes, ascending, each with the bytes per second that threads read and write together.

    It is the fastest of several turns of copying, which reaches more than reading or writing alone. Larger working
    sets count as having at most the bandwidth of smaller ones. It is measured once in a process.

    Args:
        threads: The number of threads.
        anew: Whether to measure once more. The higher rates count.
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
    """Return bytes per second of threads that each copy one half of their part of ``size`` bytes to the other."""
    calls = [_copy(size // threads) for _ in range(threads)]
    repeats = max(1, int(_SECONDS / _seconds(calls[0])))
    repeated = partial(_repeat, repeats=repeats, start=threading.Barrier(threads))
    turns = [list(pool.map(repeated, calls)) for _ in range(_TURNS)]
    least = min(max(end for _, end in turn) - min(start for start, _ in turn) for turn in turns)
    return repeats * threads * (size // threads) / least


def _copy(size: int) -> Callable[[], object]:
    return partial(np.copyto, np.ones(size // 2, np.uint8), np.zeros(size // 2, np.uint8))


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
