"""Calls probes, any of which may fail or hang, at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from pem_edge.runtime.diagnosis.schema import Finding, Findings

Probe: TypeAlias = Callable[[], Findings]
"""Finds out some facts; nothing if there is nothing to say. It may raise anything."""

_SECONDS = 60.0
"""Time after which a probe that waits for the system is given up; such as for a network drive that is gone."""

_WORKERS = 4
"""Probes at the same time: one that hangs holds up no other, and a container may allow few threads."""


def gather(sections: Mapping[str, Mapping[str, Probe]]) -> dict[str, Findings]:
    """Return what all probes find out, by section and in their order. A probe that fails is a fact that says so."""
    jobs = {name: [_Job(key, probe) for key, probe in probes.items()] for name, probes in sections.items()}
    waiting: SimpleQueue[_Job] = SimpleQueue()
    for job in (each for every in jobs.values() for each in every):
        waiting.put(job)
    _start_workers(waiting)
    deadline = time.monotonic() + _SECONDS
    return {
        name: {key: finding for each in every for key, finding in each.result(deadline).items()}
        for name, every in jobs.items()
    }


class _Job:
    """A probe, and what it found out."""

    def __init__(self, key: str, probe: Probe) -> None:
        self._key, self._probe = key, probe
        self._found = self._failure("it did not answer in time")
        self._done = threading.Event()

    def result(self, deadline: float) -> Findings:
        """Return what was found, or that nothing was; ``deadline`` is a time of `time.monotonic`."""
        self._done.wait(max(0.0, deadline - time.monotonic()))
        return self._found

    def run(self) -> None:
        """Call the probe."""
        try:
            self._found = self._probe()
        except (Exception, SystemExit) as error:
            self._found = self._failure(f"{type(error).__name__}: {error}".removesuffix(": "))
        self._done.set()

    def _failure(self, reason: str) -> Findings:
        name = self._key.replace("_", " ")
        return {self._key: Finding(name=name, value=f"could not be found out ({reason})", status="warning")}


def _start_workers(waiting: SimpleQueue[_Job]) -> None:
    """Start threads that run the jobs, and that do not keep the process from ending."""
    try:
        for _ in range(_WORKERS):
            threading.Thread(target=_work, args=(waiting,), daemon=True).start()
    except RuntimeError:  # the system allows no more threads
        _work(waiting)


def _work(waiting: SimpleQueue[_Job]) -> None:
    with suppress(Empty):
        while True:
            waiting.get_nowait().run()
