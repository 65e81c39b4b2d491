"""The names of segments on a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing import text
from pem_edge.runtime.results.drawing.colors import LIGHT, readable_on
from pem_edge.runtime.results.drawing.palette import Color
from pem_edge.runtime.results.drawing.regions import Part, RoughMap
from pem_edge.runtime.results.drawing.text import Box
from pem_edge.runtime.results.segments import Segment

_MOST_OF_PICTURE = 0.2
"""Most of the picture's area that names may cover."""


def write(
    canvas: NDArray[np.uint8],
    panoptic: NDArray[np.int32],
    segments: Sequence[Segment],
    names: Sequence[str],
    colors: Mapping[int, Color],
    *,
    scores: bool = True,
) -> None:
    """Write the names of segments onto ``canvas``, large things first, as long as there is room.

    Args:
        canvas: The picture, RGB uint8 (H, W, 3), which is changed.
        panoptic: The segments' ids, (H, W).
        segments: The segments to name.
        names: The name of each segment's class.
        colors: The color of each segment, by its id.
        scores: Whether to write the scores of things.
    """
    rough, writer = RoughMap(panoptic), _Writer(canvas)
    named = sorted(zip(segments, names, strict=True), key=lambda pair: (not pair[0].isthing, -pair[0].area))
    for segment, name in named:
        part = rough.largest_part(segment)
        if segment.isthing:
            words = f"{name} {segment.score:.0%}" if scores else name
            writer.chip(words, part, segment.area, colors[segment.id])
        elif part.radius > writer.size:
            writer.plain(name, part.heart)


class _Writer:
    """Writes names where they hide no others."""

    def __init__(self, canvas: NDArray[np.uint8]) -> None:
        self._canvas = canvas
        self._bottom, self._right = canvas.shape[:2]
        self._taken: list[Box] = []
        self._room = _MOST_OF_PICTURE * canvas.shape[0] * canvas.shape[1]
        self.size = text.size_for(canvas.shape)

    def chip(self, words: str, part: Part, area: int, color: Color) -> None:
        """Write ``words`` on a box of ``color``: in the part if enough of the segment is seen around it, else above."""
        (width, height), (x, y, across, _) = self._extent(words), part.bbox
        roomy = area > 3 * width * height
        box = self._place(width, height, part.heart if roomy else (x + across // 2, y - height // 2))
        if box is not None:
            pen = text.Pen(self._canvas, box)
            pen.box(box, self.size // 4, color)
            pen.line(words, box[0] + 0.4 * self.size, (box[1] + box[3]) / 2, self.size, readable_on(color))
            pen.finish()

    def plain(self, words: str, center: tuple[int, int]) -> None:
        """Write ``words`` alone, with a dark rim."""
        box = self._place(*self._extent(words), center)
        if box is not None:
            pen, rim = text.Pen(self._canvas, box), max(1, self.size // 10)
            pen.line(words, box[0] + 0.4 * self.size, (box[1] + box[3]) / 2, self.size, LIGHT, rim)
            pen.finish()

    def _extent(self, words: str) -> tuple[int, int]:
        """Return width and height of the box of ``words``."""
        return round(text.width_of(words, self.size) + 0.8 * self.size), round(1.4 * self.size)

    def _place(self, width: int, height: int, center: tuple[int, int]) -> Box | None:
        """Return room around ``center``, or just above or below it, within the picture; None if there is none."""
        if width * height > self._room:
            return None
        left = min(max(center[0] - width // 2, 0), self._right - width)
        for nudge in (0, -height, height):
            top = min(max(center[1] + nudge - height // 2, 0), self._bottom - height)
            box = (left, top, left + width, top + height)
            if min(left, top) >= 0 and not any(_overlap(box, other) for other in self._taken):
                self._taken.append(box)
                self._room -= width * height
                return box
        return None


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
