"""Progress of a run: every few steps a line on standard error and a row of metrics.csv."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor

from pem_edge.pem.training.objective.supervision import LOSSES
from pem_edge.pem.training.reporting.csv_table import CsvTable
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.runtime.cli import console

FILE_NAME = "metrics.csv"

COLUMNS = ("step", "loss", *LOSSES, "gradient_norm", "learning_rate", "images_per_second")
"""Header of metrics.csv."""

Tell = Callable[[int, Mapping[str, float]], None]
"""Function that takes a step and its row of metrics.csv, by column."""

_LONGEST_SILENCE = 60.0
"""Seconds after which something is said, even if no report is due: steps may be slow."""


class Progress:
    """Collects the losses of the steps, and every ``every`` steps reports their means, also to ``tell``.

    Attributes:
        table: The file metrics.csv.
        sums: Sums of the losses and of the gradient's norm since the last report.
        count: Number of steps since the last report.
        loss: The loss of the last step.
    """

    def __init__(self, folder: Path, steps: int, batch: int, every: int, tell: Tell = lambda _step, _row: None) -> None:
        self.table = CsvTable(folder / FILE_NAME, COLUMNS)
        self.steps, self.batch, self.every = steps, batch, every
        self.sums = torch.zeros(len(LOSSES) + 1, dtype=torch.float64)
        self.count = 0
        self.loss = 0.0
        self._started = self._interval_started = time.perf_counter()
        self._done = self._done_in_interval = 0
        self._spoken = self._started
        self._tell = tell

    @property
    def path(self) -> Path:
        """The file metrics.csv."""
        return self.table.path

    def restore(self, step: int, state: Snapshot) -> None:
        """Continue after ``step`` with a ``state`` that `state` returned; delete the rows of later steps.

        Raises:
            OutputError: If metrics.csv cannot be written.
        """
        self.sums.copy_(state["sums"])
        self.count = int(state["count"])
        self.table.truncate(step)

    def state(self) -> Snapshot:
        """Return the sums that are not reported yet, for `restore`."""
        return {"sums": self.sums.clone(), "count": self.count}

    def add(self, step: int, losses: Tensor, gradient_norm: Tensor, learning_rate: float) -> None:
        """Add the results of a step, and report if it is time to.

        Args:
            step: Number of the step, from 1.
            losses: Weighted losses, (3).
            gradient_norm: Norm of the gradient before clipping, a scalar.
            learning_rate: Learning rate of the step.

        Raises:
            OutputError: If metrics.csv cannot be written.
        """
        figures = torch.cat([losses, gradient_norm.reshape(1)]).double().cpu()
        self.sums += figures
        self.loss = float(figures[:-1].sum())
        self.count += 1
        self._done += 1
        self._done_in_interval += 1
        if step % self.every == 0 or step == self.steps:
            self._report(step, learning_rate)
        elif self._done == 1:
            self._say(f"the first step took {time.perf_counter() - self._started:.1f} s")
        elif time.perf_counter() - self._spoken > _LONGEST_SILENCE:
            self._say(f"step {step}/{self.steps}: loss {self.loss:.3f}, {self._left(step)} left")

    def finish(self, step: int, learning_rate: float) -> None:
        """Report what is not reported yet, as ``step`` was the last. Raises OutputError as `add`."""
        if self.count:
            self._report(step, learning_rate)

    def _report(self, step: int, learning_rate: float) -> None:
        *losses, norm = (self.sums / self.count).tolist()
        now = time.perf_counter()
        speed = self.batch * self._done_in_interval / (now - self._interval_started)
        parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(LOSSES, losses, strict=True))
        figures = f"loss {sum(losses):.3f} ({parts}), {speed:.1f} images/s"
        self._say(f"step {step}/{self.steps}: {figures}, {self._left(step)} left")
        row = (sum(losses), *losses, norm, learning_rate, speed)
        self.table.append([step, *(f"{x:.6g}" for x in row[:-1]), f"{speed:.1f}"])
        self._tell(step, dict(zip(COLUMNS[1:], row, strict=True)))
        self.sums.zero_()
        self.count, self._done_in_interval, self._interval_started = 0, 0, now

    def _left(self, step: int) -> timedelta:
        """Return how long the steps after ``step`` will take at the pace so far."""
        passed = time.perf_counter() - self._started
        return timedelta(seconds=round(passed / self._done * (self.steps - step)))

    def _say(self, text: str) -> None:
        say(text)
        self._spoken = time.perf_counter()


def say(text: str) -> None:
    """Print a line on standard error, after the name of the command."""
    console.say("pem-train", text)
