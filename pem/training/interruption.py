"""Defers the end of a training that was asked to stop to the end of the step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pem_edge.runtime.cli import signals


class Interruption:
    """Tells whether the process was asked to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def defer_interrupts() -> Iterator[Interruption]:
    """Set ``requested`` of what is yielded, instead of stopping, on a signal to end; a second one stops at once."""
    interruption = Interruption()

    def note() -> None:
        interruption.requested = True
        print("pem-train: stopping after this step; ask again to stop at once", file=sys.stderr, flush=True)

    with signals.deferred(note):
        yield interruption
