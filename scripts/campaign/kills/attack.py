"""Runs of a command that end before their time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.campaign.kills.subject import Subject
from scripts.campaign.kills.victim import COUNT_FILE

ROOT = Path(__file__).parents[3]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PATIENCE = 60.0
"""Seconds in which a process must end that was told to."""

_LIMIT = 600.0


@dataclass
class Attacks:
    """Kills of one command, and what came of them."""

    subject: Subject
    random: random.Random
    events: int = 0
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    complete: int = 0
    stubborn: int = 0
    faults: list[dict[str, str]] = field(default_factory=list)

    def run_whole(self) -> None:
        """Run the command to its end, and see that it leaves what it should, and nothing else."""
        started = time.monotonic()
        code = self._run(0, signal.SIGKILL, None)
        self.seconds = time.monotonic() - started
        if code != 0:
            self.note("complete run", [f"failed with {code}: {self._last_line()}"])
            return
        self.events = int((self.subject.folder / COUNT_FILE).read_text())
        self.complete += 1
        self.note("complete run", self.subject.faults_at_end())

    def kill(self) -> None:
        """Run the command, and kill it before a rename or removal or, every second time, at a random moment."""
        number = self.random.choice(SIGNALS)
        at_random = self.kills.total() % 2 == 1
        event = 0 if at_random else self.random.randint(1, self.events)
        delay = self.random.uniform(0.05, self.seconds) if at_random else None
        moment = f"after {delay:.2f} s" if delay is not None else f"before rename or removal {event}"
        code = self._run(event, number, delay)
        if code == 0:
            self.moments["too late"] += 1
            self.note(f"{number.name} too late, {moment}", self.subject.faults_at_end())
            return
        self.kills[number.name] += 1
        self.moments["random" if at_random else "before a rename or removal"] += 1
        self.note(f"{number.name} {moment}", [*self._errors(code), *self.subject.faults()])

    def report(self) -> dict[str, Any]:
        """Return counts and faults."""
        counts = {"kills": self.kills.total(), "signals": dict(self.kills), "moments": dict(self.moments)}
        ends = {"complete_runs": self.complete, "signals_that_did_not_end_it": self.stubborn}
        return {**counts, **ends, "renames_and_removals": self.events, "faults": self.faults}

    def _run(self, event: int, number: signal.Signals, delay: float | None) -> int:
        """Return the exit code; of a process that had to be killed in the end, that of SIGKILL."""
        subject = self.subject
        for name in ("home", "tmp"):
            (subject.folder / name).mkdir(exist_ok=True)
        victim = [sys.executable, "-m", "scripts.campaign.kills.victim", subject.command, str(subject.folder)]
        command = [*victim, str(event), str(int(number)), str(subject.inputs.graphs), *subject.arguments()]
        with (subject.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=_environment(subject.folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            try:
                return self._wait(process, number, delay)
            finally:  # children, too
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _wait(self, process: subprocess.Popen[bytes], number: signal.Signals, delay: float | None) -> int:
        try:
            return process.wait(delay or _LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.stubborn += 1
            return -signal.SIGKILL

    def note(self, moment: str, faults: list[str]) -> None:
        """Record faults, and the moment of the kill to which they are due."""
        for fault in faults:
            print(f"kill: {self.subject.name}, {moment}: {fault}", file=sys.stderr)
            self.faults.append({"moment": moment, "fault": fault})

    def _errors(self, code: int) -> list[str]:
        """Return the error with which the command ended by itself, such as the claim of a process that is gone."""
        line = self._last_line()
        return [f"failed: {line}"] if code == 1 and line.startswith(f"{self.subject.command}: ") else []

    def _last_line(self) -> str:
        lines = (self.subject.folder / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "no output"


def _environment(folder: Path) -> dict[str, str]:
    home = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home" / "cache")}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **home, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
