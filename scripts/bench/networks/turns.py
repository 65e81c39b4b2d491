"""Times several things in one run, all taking turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

Run = Callable[[], object]


def medians(runs: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        print(f"round {turn} of {rounds}", file=sys.stderr)
        for name, run in runs.items():
            taken = seconds(run)
            if turn:
                times[name].append(taken)
    return {name: float(np.median(found)) for name, found in times.items()}


def seconds(run: Run) -> float:
    """Return how long one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
