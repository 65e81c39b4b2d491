"""What a section is made of: tasks that give one row each, begun only if they will end before the deadline."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from scripts.gpu.reporting.report import Findings

Row = dict[str, Any]


class Skipped(Exception):  # noqa: N818  # no error: the reason why a section says nothing here
    """A section has nothing to run on this machine, such as engines where none can be used; the message says why."""


class OutOfTime(Exception):  # noqa: N818  # no error: the reason why a row is missing
    """What was begun did not end before the deadline."""


class Deadline:
    """The moment after which nothing is begun."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, negative after the end."""
        return self._end - time.monotonic()

    def allows(self, seconds: float) -> bool:
        """Return whether what takes ``seconds`` ends in time."""
        return seconds <= self.remaining()


class Task(NamedTuple):
    """One row of a table.

    Attributes:
        table: The title of the table.
        key: The columns that tell what the row is about.
        seconds: About how long it takes.
        run: Returns the other columns; "failed" among them says what is wrong.
    """

    table: str
    key: Row
    seconds: float
    run: Callable[[], Row]

    @property
    def name(self) -> str:
        """The key in words."""
        return f"{self.table}: {' '.join(str(value) for value in self.key.values())}"


def run(tasks: Callable[[], Iterable[Task]], deadline: Deadline, found: Findings) -> None:
    """Run the tasks of a section in their order, each row being kept as it ends; ``tasks`` may raise `Skipped`."""
    try:
        for task in tasks():
            row = _attempt(task) if deadline.allows(task.seconds) else None
            if row is None:
                found.miss(task.name)
            else:
                found.add(task.table, row)
    except Skipped as reason:
        found.end("skipped", str(reason))
    except Exception as error:  # one section must not take the others with it
        found.fail(_line(error))
    else:
        found.end("done")


def _attempt(task: Task) -> Row | None:
    """Return the row, None if it did not end in time."""
    try:
        return {**task.key, **task.run()}
    except OutOfTime:
        return None
    except Exception as error:  # one row must not take the others with it
        return {**task.key, "failed": _line(error)}


def _line(error: Exception) -> str:
    """Return an error as one line; standard error has all of it."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
