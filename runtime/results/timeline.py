"""The time of frames in a video, made from times that may stall, jump or be missing."""

from __future__ import annotations


class Timeline:
    """Says when a frame of a given time is shown in a video.

    A time that does not advance, as after a jump back or if there is none, counts as one frame after the last.

    Args:
        fps: The video's frames per second.
        longest_gap: The seconds between two frames above which a gap is cut to that.
    """

    def __init__(self, fps: float, longest_gap: float) -> None:
        self._fps, self._longest_gap = fps, longest_gap
        self._before: float | None = None
        self._elapsed: float | None = None

    def advance(self, time: float | None) -> float:
        """Return when the frame of ``time``, in seconds since any moment, is shown, in seconds since the first one."""
        step = 0.0 if time is None or self._before is None else time - self._before
        step = min(step, self._longest_gap) if step > 0 else 1 / self._fps
        self._elapsed = 0.0 if self._elapsed is None else self._elapsed + step
        self._before = time
        return self._elapsed
