"""Whether a video gave what it claims to hold. Containers lie by a few frames, so several signs count."""

from __future__ import annotations

_STEADY = (
    0.95  # share of frames at their time from which on a gap tells of a loss; cameras and screens drop frames, too
)
_SLACK = 0.02, 500.0  # how much earlier than claimed a video may end: of its length, at least milliseconds


class Tally:
    """Counts the frames of a video that claims ``claimed`` frames, ``fps`` a second."""

    def __init__(self, fps: float, claimed: int | None) -> None:
        self._step = 1000 / fps
        self._claimed = claimed or 0
        self._last = 0.0
        self._punctual = 0
        self._late = 0
        self._damaged = 0
        self.count = 0

    def add(self, milliseconds: float, damaged: int) -> None:
        """Count a frame that is shown at that time, after ``damaged`` frames that could not be decoded."""
        steps = (milliseconds - self._last) / self._step if self.count else 1.0
        self._punctual += 0.9 < steps < 1.1
        self._late += max(0, round(steps) - 1)
        self._damaged += damaged
        self._last = milliseconds
        self.count += 1

    def complaint(self) -> str | None:
        """Return what is missing, None if nothing is."""
        total = self._claimed * self._step
        slack = max(_SLACK[0] * total, _SLACK[1])
        if self.count < self._claimed and self._last and total - self._last - self._step > slack:
            ended = (self._last + self._step) / 1000
            return f"ended early, after {self.count} of {self._claimed} frames ({ended:.1f} of {total / 1000:.1f} s)"
        if missing := self._damaged or self._jumped():
            return f"has {missing} damaged frame{'' if missing == 1 else 's'}, which {_are(missing)} left out"
        return None

    def _jumped(self) -> int:
        """Return frames that the demuxer left out, in a video whose others all come at their time."""
        steady = self._punctual >= _STEADY * (self.count - 1)
        return min(self._late, max(0, self._claimed - self.count)) if steady else 0


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
