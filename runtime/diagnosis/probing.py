"""Calls probes, any of which may fail or hang, at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pem_edge.runtime.diagnosis.schema import Finding, Findings

Probe: TypeAlias = Callable[[], Findings]
"""Finds out some facts; nothing if there is nothing to say. It may raise anything."""

_SECONDS = 60.0
"""Time after which a probe that waits for the system is given up; such as for a network drive that is gone."""


def gather(sections: Mapping[str, Mapping[str, Probe]]) -> dict[str, Findings]:
    """Return what all probes find out, by section and in their order. A probe that fails is a fact that says so."""
    running = {name: {key: _Running(key, probe) for key, probe in probes.items()} for name, probes in sections.items()}
    deadline = time.monotonic() + _SECONDS
    return {
        name: {key: finding for each in probes.values() for key, finding in each.result(deadline).items()}
        for name, probes in running.items()
    }


class _Running:
    """A probe that runs in a thread of its own, which does not keep the process from ending."""

    def __init__(self, key: str, probe: Probe) -> None:
        self._key, self._probe = key, probe
        self._found = self._failure("it did not answer in time")
        self._thread = threading.Thread(target=self._run, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system allows no more threads
            self._run()

    def result(self, deadline: float) -> Findings:
        """Return what was found, or that nothing was; ``deadline`` is a time of `time.monotonic`."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._probe()
        except (Exception, SystemExit) as error:
            self._found = self._failure(f"{type(error).__name__}: {error}".removesuffix(": "))

    def _failure(self, reason: str) -> Findings:
        name = self._key.replace("_", " ")
        return {self._key: Finding(name=name, value=f"could not be found out ({reason})", status="warning")}
