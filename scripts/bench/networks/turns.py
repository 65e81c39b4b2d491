"""Times several things in one run, all taking turns, each in a process of its own.

In one process they would disturb each other: OpenVINO pins the calling thread to a core, and PyTorch's inherit that.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np

Run = Callable[[], object]
Prepare = Callable[[], Mapping[str, Run]]
"""Prepares, in its process, what to time, by name."""


def medians(contestants: Mapping[str, Prepare], rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of everything that each contestant prepares, after one round to warm up."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    for name, prepare in contestants.items():
        ends[name], theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, prepare), daemon=True).start()
    kinds = {name: end.recv() for name, end in ends.items()}
    times: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in kinds for kind in kinds[name]}
    for turn in range(rounds + 1):
        print(f"round {turn} of {rounds}", file=sys.stderr)
        for (name, kind), found in times.items():
            ends[name].send(kind)
            taken = ends[name].recv()
            if turn:
                found.append(taken)
    return {name: {kind: float(np.median(times[name, kind])) for kind in kinds[name]} for name in kinds}


def _serve(parent: Connection, prepare: Prepare) -> None:
    runs = prepare()
    parent.send([*runs])
    with suppress(EOFError):  # all have been timed
        while True:
            run = runs[parent.recv()]
            start = time.perf_counter()
            run()
            parent.send(time.perf_counter() - start)
