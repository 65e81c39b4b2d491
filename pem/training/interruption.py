"""Defers the end of a training that was asked to stop to the end of the step, unless that takes too long."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pem_edge.runtime.cli import signals

_GRACE = 5.0
"""Seconds that a step has to end; a checkpoint of a large model takes some more."""

_AGAIN = 0.1
"""Seconds after which it is tried again to leave what cannot be left at the moment."""


class Overdue(signals.AskedToEnd):
    """A step, or what is done between two, takes longer than somebody who asked for the end should have to wait."""


class Interruption:
    """Tells whether the process was asked to stop.

    Attributes:
        requested: Whether it was.
    """

    def __init__(self) -> None:
        self.requested = False
        self._divisible = False

    @contextmanager
    def divisible(self) -> Iterator[None]:
        """Raise Overdue in the ``with`` block, which can be done again, a few seconds after the request to stop."""
        self._divisible = True
        try:
            yield
        finally:
            self._divisible = False

    def leave(self, _number: int, _frame: FrameType | None) -> None:
        """Leave what can be left, or try again soon."""
        if self._divisible:
            raise Overdue
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)


@contextmanager
def defer_interrupts(*, within_steps: bool = True) -> Iterator[Interruption]:
    """Set ``requested`` of what is yielded, instead of stopping, on a signal to end; a second one stops at once.

    Args:
        within_steps: Whether to leave what is divisible if it takes too long.
    """
    interruption = Interruption()
    replaced = []

    def note() -> None:
        interruption.requested = True
        print("pem-train: stopping after this step; ask again to stop at once", file=sys.stderr, flush=True)
        if not within_steps:
            return
        replaced.append(signal.signal(signal.SIGALRM, interruption.leave))
        signal.setitimer(signal.ITIMER_REAL, _GRACE)

    try:
        with signals.deferred(note):
            yield interruption
    finally:
        for handler in replaced:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
