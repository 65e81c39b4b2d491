"""Sources of pictures that are decoded already."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.sources import Footage, Frame

FEWEST = 5
"""Images that a source gives at least, however slowly they are taken. A scenario takes several sources' in turns."""

Image = NDArray[np.uint8]


class InMemory(Footage):
    """``pictures`` over and over, until ``seconds`` have passed and at least ``fewest`` were taken."""

    name = stem = "pictures"

    def __init__(self, pictures: Sequence[Image], seconds: float, fewest: int = FEWEST) -> None:
        self._pictures, self._seconds, self._fewest = pictures, seconds, fewest

    def __iter__(self) -> Iterator[Frame]:
        end = time.perf_counter() + self._seconds
        number = 0
        while number < self._fewest or time.perf_counter() < end:
            yield Frame(str(number), partial(self._picture, number))
            number += 1

    def _picture(self, number: int) -> Image:
        return self._pictures[number % len(self._pictures)]


class PacedCamera(Footage):
    """A camera of ``fps`` frames a second for ``seconds``, which keeps the latest only: frames not fetched are lost.

    A frame's name is its number; `captured` says when it was taken, by `time.perf_counter`.
    """

    name = stem = "camera"
    live = True

    def __init__(self, pictures: Sequence[Image], fps: float, seconds: float) -> None:
        self._pictures, self.fps = pictures, fps
        self.frames = max(FEWEST, round(seconds * fps))
        self._start = time.perf_counter()

    def __iter__(self) -> Iterator[Frame]:
        self._start = time.perf_counter()
        last = -1
        while last < self.frames - 1:
            latest = int((time.perf_counter() - self._start) * self.fps)
            last = min(max(latest, last + 1), self.frames - 1)
            if (wait := self.captured(last) - time.perf_counter()) > 0:
                time.sleep(wait)
            yield Frame(str(last), partial(self._picture, last))

    def captured(self, number: int) -> float:
        """Return when frame ``number`` was taken, by `time.perf_counter`."""
        return self._start + number / self.fps

    def _picture(self, number: int) -> Image:
        return self._pictures[number % len(self._pictures)]
