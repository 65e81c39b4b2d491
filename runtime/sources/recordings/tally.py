"""Checking that a video yielded the frames that its container claims.

Containers are often wrong by a few frames, so timestamps and damaged frames are taken into account.
"""

from __future__ import annotations

_STEADY_FRACTION = 0.95
"""Minimum fraction of frames at even intervals for a gap to count as a loss: cameras themselves skip frames."""

_SLACK = 0.02, 500.0
"""Time by which a video may end early: a fraction of its length, and a minimum in milliseconds."""


class Tally:
    """Counts the frames of a video that claims ``claimed`` frames at ``fps`` per second; None claims nothing."""

    def __init__(self, fps: float, claimed: int | None) -> None:
        self._step = 1000 / fps
        self._claimed = claimed or 0
        self._last = 0.0
        self._punctual = 0
        self._late = 0
        self._damaged = 0
        self.count = 0

    def add(self, milliseconds: float, damaged: int) -> None:
        """Count a frame with this timestamp, which follows ``damaged`` frames that could not be decoded."""
        steps = (milliseconds - self._last) / self._step if self.count else 1.0
        self._punctual += 0.9 < steps < 1.1
        self._late += max(0, round(steps) - 1)
        self._damaged += damaged
        self._last = milliseconds
        self.count += 1

    def describe_loss(self) -> str | None:
        """Return a message about the missing frames, or None if there are none."""
        total = self._claimed * self._step
        slack = max(_SLACK[0] * total, _SLACK[1])
        if self.count < self._claimed and self._last and total - self._last - self._step > slack:
            ended = (self._last + self._step) / 1000
            return f"ended early, after {self.count} of {self._claimed} frames ({ended:.1f} of {total / 1000:.1f} s)"
        if missing := self._damaged or self._skipped():
            frames = "frame, which is" if missing == 1 else "frames, which are"
            return f"has {missing} damaged {frames} left out"
        return None

    def _skipped(self) -> int:
        """Return the number of frames that the demuxer skipped, if the others come at even intervals."""
        steady = self._punctual >= _STEADY_FRACTION * (self.count - 1)
        return min(self._late, max(0, self._claimed - self.count)) if steady else 0
