"""Times several things in one run, all taking turns, each in a process of its own.

In one process they would disturb each other: OpenVINO pins the calling thread to a core, and PyTorch's inherit that.
The order of each round is drawn anew, so that nothing always comes after the same other thing.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

Run = Callable[[], object]
Prepare = Callable[[], Mapping[str, Run]]
"""Prepares, in its process, what to time, by name."""

PAUSE = 0.1
"""Seconds before each turn: the threads of the one before, which spin for a while, sleep by then."""


class Measured(NamedTuple):
    """The times and the memory of a contestant's runs.

    Attributes:
        seconds: By name, one of each round, in order.
        peak: The peak memory of the process in bytes, None where the system does not tell.
    """

    seconds: dict[str, list[float]]
    peak: int | None


class _Process:
    """A contestant's process, which answers what it is asked: names of runs, None for the last."""

    def __init__(self, prepare: Prepare) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, prepare), daemon=True).start()
        theirs.close()  # so that nothing is awaited of a process that has ended

    def ask(self, name: str | None) -> Any:
        self._end.send(name)
        return self.answer()

    def answer(self) -> Any:
        return self._end.recv()


def medians(contestants: Mapping[str, Prepare], rounds: int) -> dict[str, dict[str, float]]:
    """Return the median seconds of everything that each contestant prepares, after one round to warm up."""
    found = measure(contestants, rounds)
    return {
        name: {kind: float(np.median(seconds)) for kind, seconds in measured.seconds.items()}
        for name, measured in found.items()
    }


def measure(contestants: Mapping[str, Prepare], rounds: int, seed: int = 0) -> dict[str, Measured]:
    """Return what everything that each contestant prepares took in each round, after one round to warm up.

    Args:
        contestants: By name.
        rounds: The number of rounds.
        seed: What the order of the turns depends on.

    Raises:
        EOFError: If a contestant's process ends early; it has printed why.
    """
    processes = {name: _Process(prepare) for name, prepare in contestants.items()}
    seconds: dict[str, dict[str, list[float]]] = {
        name: {kind: [] for kind in process.answer()} for name, process in processes.items()
    }
    turns, order = [(name, kind) for name in seconds for kind in seconds[name]], random.Random(seed)
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr)
        order.shuffle(turns)
        for name, kind in turns:
            time.sleep(PAUSE)
            taken = processes[name].ask(kind)
            if number:
                seconds[name][kind].append(taken)
    return {name: Measured(seconds[name], process.ask(None)) for name, process in processes.items()}


def _serve(parent: Connection, prepare: Prepare) -> None:
    runs = prepare()
    from pem_edge.runtime.benchmark.measures.memory import peak_resident  # of the checkout that the contestant chose

    parent.send([*runs])
    while (name := parent.recv()) is not None:
        start = time.perf_counter()
        runs[name]()
        parent.send(time.perf_counter() - start)
    parent.send(peak_resident())
