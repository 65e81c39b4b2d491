"""Lines of text on pictures, each part of a line in a font that has it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pem_edge.runtime.results.drawing import fonts
from pem_edge.runtime.results.drawing.colors import DARK, LIGHT
from pem_edge.runtime.results.drawing.palette import Color

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

_SMALLEST = 11
"""Height of letters in pixels below which they cannot be read."""
_BASELINE = 0.36
"""How far the baseline is below the middle of a line, as a share of the size."""


def size_for(shape: tuple[int, ...]) -> int:
    """Return the size of letters in pixels for a picture (H, W): it grows with the area, and is small on a strip."""
    height, width = shape[:2]
    return max(_SMALLEST, round(min(math.sqrt(height * width) / 42, height / 8, width / 8)))


def width_of(text: str, size: int) -> float:
    """Return the width of a line in pixels."""
    return sum(font.getlength(part) for font, part in _parts(text, size))


class Pen:
    """Draws onto a picture in place, as far as it lies within ``box``.

    Args:
        canvas: The picture, RGB uint8 (H, W, 3).
        box: The part of it that is drawn on; other parts are not copied.
    """

    def __init__(self, canvas: NDArray[np.uint8], box: Box) -> None:
        left, top = max(box[0], 0), max(box[1], 0)
        self._part = canvas[top : max(box[3], top), left : max(box[2], left)]
        self._origin = left, top
        self._picture = Image.fromarray(self._part)
        self._draw = ImageDraw.Draw(self._picture)

    def box(self, box: Box, radius: int, color: Color, rim: int = 0) -> None:
        """Draw a filled box with round corners."""
        left, top = self._origin
        moved = (box[0] - left, box[1] - top, box[2] - left - 1, box[3] - top - 1)
        self._draw.rounded_rectangle(moved, radius, color, outline=LIGHT, width=rim)

    def line(self, text: str, left: float, middle: float, size: int, color: Color, rim: int = 0) -> None:
        """Write ``text`` from ``left`` on, around the height ``middle``; with a dark rim if it has a width."""
        x, y = left - self._origin[0], middle + _BASELINE * size - self._origin[1]
        for font, part in _parts(text, size):
            self._draw.text((x, y), part, color, font, anchor="ls", stroke_width=rim, stroke_fill=DARK)
            x += font.getlength(part)

    def finish(self) -> None:
        """Put what was drawn onto the picture."""
        self._part[:] = np.asarray(self._picture)


def _parts(text: str, size: int) -> Iterator[tuple[fonts.Font, str]]:
    """Yield the parts of a line with their fonts. What no font has becomes a question mark."""
    plain = text.encode("ascii", "replace").decode()
    for face, part in fonts.split(text) or fonts.split(plain) or ():
        yield fonts.load(face, size), part
