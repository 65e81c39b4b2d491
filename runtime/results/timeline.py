"""Placing frames that come at any time into a video of constant frame rate."""

from __future__ import annotations


class Timeline:
    """Says which frame of a video is the one of a given time.

    A time that does not advance, as after a jump back or if there is none, counts as one frame after the last.

    Args:
        fps: The video's frames per second.
        longest_gap: The seconds between two frames above which a gap is cut to that.
    """

    def __init__(self, fps: float, longest_gap: float) -> None:
        self._fps, self._longest_gap = fps, longest_gap
        self._before: float | None = None
        self._elapsed: float | None = None

    def place(self, time: float | None) -> int:
        """Return the index of the frame that is shown at ``time``, in seconds since any moment. The first is 0."""
        step = 0.0 if time is None or self._before is None else time - self._before
        step = min(step, self._longest_gap) if step > 0 else 1 / self._fps
        self._elapsed = 0.0 if self._elapsed is None else self._elapsed + step
        self._before = time
        return round(self._elapsed * self._fps)
