"""Finds memory that several streams use in no certain order, as a race detector with vector clocks does.

Each stream counts its work. A clock says, for each stream, how much of its work is over for certain. Waiting for a
stream or an event carries clocks from one stream to another, and to the host; what the host enqueues comes after all
that the host has waited for. This does not depend on when the simulation does the work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

Clock = dict[object, int]
"""Numbers of finished works, by stream."""


class Uses:
    """The latest uses of a block of memory: the number of the work in each stream."""

    def __init__(self) -> None:
        self.reads: Clock = {}
        self.writes: Clock = {}


class Order:
    """Keeps what is known about the order of work.

    Args:
        fault: Called with the description of a race.
    """

    def __init__(self, fault: Callable[[str], None]) -> None:
        self._fault = fault
        self._host: Clock = {}
        self._streams: defaultdict[object, Clock] = defaultdict(dict)
        self._uses: defaultdict[object, Uses] = defaultdict(Uses)

    def add(self, stream: object, reads: Sequence[object], writes: Sequence[object]) -> Clock:
        """Add work to a stream, and return the clock of its end."""
        clock = self._streams[stream]
        _advance(clock, self._host)
        clock[stream] = clock.get(stream, 0) + 1
        for block in reads:
            self._require_over(self._uses[block].writes, clock, "read while another stream may write it")
            self._uses[block].reads[stream] = clock[stream]
        for block in writes:
            self._require_over(self._uses[block].writes, clock, "written while another stream may write it")
            self._require_over(self._uses[block].reads, clock, "written while another stream may read it")
            self._uses[block].writes[stream] = clock[stream]
        return dict(clock)

    def hold(self, stream: object, clock: Clock) -> None:
        """Record that the stream's later work waits for the moment of ``clock``."""
        _advance(self._streams[stream], clock)

    def wait(self, clock: Clock) -> None:
        """Record that the host has waited for the moment of ``clock``."""
        _advance(self._host, clock)

    def wait_for_stream(self, stream: object) -> None:
        """Record that the host has waited for all of a stream's work."""
        _advance(self._host, self._streams[stream])

    def _require_over(self, uses: Clock, clock: Clock, race: str) -> None:
        if any(number > clock.get(stream, 0) for stream, number in uses.items()):
            self._fault(f"memory is {race}, for which nobody waits")


def _advance(clock: Clock, to: Clock) -> None:
    for stream, number in to.items():
        clock[stream] = max(clock.get(stream, 0), number)
