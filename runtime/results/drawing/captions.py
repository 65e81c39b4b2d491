"""The words on a picture: names of segments, and a legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.drawing.colors import DARK, LIGHT, Color, readable_on
from pem_edge.runtime.results.drawing.regions import heart
from pem_edge.runtime.results.segments import Segment

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

_LEGEND_SHARE = 0.16
"""Most of the height that the legend may take."""


def write(
    canvas: NDArray[np.uint8],
    panoptic: NDArray[np.int32],
    segments: Sequence[Segment],
    labels: Sequence[Label],
    colors: Mapping[int, Color],
) -> NDArray[np.uint8]:
    """Return a copy of ``canvas`` with a legend and the names of segments; large things come first if room is short."""
    writer = _Writer(canvas)
    by_area = sorted(segments, key=lambda segment: -segment.area)
    writer.legend([labels[category] for category in dict.fromkeys(segment.category_id for segment in by_area)])
    for segment in sorted(by_area, key=lambda segment: not segment.isthing):
        x, y, radius = heart(panoptic[: writer.bottom], segment)
        name = _short(labels[segment.category_id].name)
        if segment.isthing and radius > 0:
            writer.chip(f"{name} {segment.score:.0%}", segment, (x, y), colors[segment.id])
        elif radius > writer.size:
            writer.plain(name, (x, y))
    return np.array(writer.picture)


class _Writer:
    """Writes a legend, then names where they hide neither it nor each other."""

    def __init__(self, canvas: NDArray[np.uint8]) -> None:
        self.picture = Image.fromarray(canvas)
        self.pen = ImageDraw.Draw(self.picture, "RGBA")
        self.bottom, self.right = canvas.shape[:2]
        self.size = max(11, round(min(self.bottom, self.right) / 30))
        self.font = _font(self.size)
        self.taken: list[Box] = []

    def legend(self, classes: Sequence[Label]) -> None:
        """Draw a strip along the bottom with as many of ``classes`` as it may hold; names stay above it."""
        line, entries = round(1.6 * self.size), list(self._flow(classes))
        rows = min(entries[-1][0] + 1, int(_LEGEND_SHARE * self.bottom / line)) if entries else 0
        top = self.bottom - rows * line
        self.pen.rectangle((0, top, self.right, self.bottom), fill=(*DARK, 210))
        for row, left, label in entries:
            if row < rows:
                self._entry(left, top + row * line + line // 2, label)
        self.bottom = top

    def chip(self, text: str, segment: Segment, center: tuple[int, int], color: Color) -> None:
        """Write ``text`` on a box of ``color``, at ``center`` if the segment stays visible around it, else above it."""
        (width, height), (x, y, across, _) = self._extent(text), segment.bbox
        roomy = segment.area > 3 * width * height
        box = self._place(width, height, center if roomy else (x + across // 2, y - height // 2))
        if box is not None:
            self._box(box, color)
            self.pen.text(_middle(box), text, readable_on(color), self.font, anchor="mm")

    def plain(self, text: str, center: tuple[int, int]) -> None:
        """Write ``text`` alone, with a dark rim."""
        box = self._place(*self._extent(text), center)
        if box is not None:
            rim = max(1, self.size // 10)
            self.pen.text(_middle(box), text, LIGHT, self.font, anchor="mm", stroke_width=rim, stroke_fill=DARK)

    def _flow(self, classes: Sequence[Label]) -> Iterator[tuple[int, int, Label]]:
        """Yield row and left edge of each legend entry, wrapped at the picture's width."""
        row, left = 0, self.size
        for label in classes:
            width = round(self.font.getlength(_short(label.name)) + 2.6 * self.size)
            if left + width > self.right and left > self.size:
                row, left = row + 1, self.size
            yield row, left, label
            left += width

    def _entry(self, left: int, middle: int, label: Label) -> None:
        half = round(0.45 * self.size)
        self._box((left, middle - half, left + 2 * half, middle + half), label.color, rim=1)
        self.pen.text((left + 1.4 * self.size, middle), _short(label.name), LIGHT, self.font, anchor="lm")

    def _extent(self, text: str) -> tuple[int, int]:
        """Return width and height of ``text`` in its box."""
        return round(self.font.getlength(text) + 0.8 * self.size), round(1.4 * self.size)

    def _place(self, width: int, height: int, center: tuple[int, int]) -> Box | None:
        """Return room around ``center``, or just above or below it, within the picture; None if there is none."""
        left = min(max(center[0] - width // 2, 0), self.right - width)
        for nudge in (0, -height, height):
            top = min(max(center[1] + nudge - height // 2, 0), self.bottom - height)
            box = (left, top, left + width, top + height)
            if min(left, top) >= 0 and not any(_overlap(box, other) for other in self.taken):
                self.taken.append(box)
                return box
        return None

    def _box(self, box: Box, color: Color, rim: int = 0) -> None:
        self.pen.rounded_rectangle(box, self.size // 4, color, outline=LIGHT, width=rim)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _short(name: str) -> str:
    """Return a class's name on one line, its first synonym only."""
    return " ".join(name.split(",")[0].split())[:24]


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
