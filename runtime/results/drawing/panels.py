"""Pictures of one size beside each other, with a heading, a title for each, and a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing import legend, text
from pem_edge.runtime.results.drawing.colors import DARK, LIGHT
from pem_edge.runtime.results.drawing.legend import Entry

_GAP = 8
_KEY_ROWS = 4
_LONGEST_NAME = 60


def beside(pictures: Mapping[str, NDArray[np.uint8]], heading: str, key: Sequence[Entry]) -> NDArray[np.uint8]:
    """Return the pictures from left to right, RGB uint8 (heading + title + H + key, N W + gaps, 3).

    Args:
        pictures: Pictures of one size, RGB uint8 (H, W, 3), by their titles.
        heading: A line above all of them.
        key: What colors mean, as far as it fits into four rows.
    """
    height, width = next(iter(pictures.values())).shape[:2]
    size = text.size_for((height, width))
    line = round(1.6 * size)
    across = len(pictures) * (width + _GAP) - _GAP
    below = legend.lay_out(key, (height, across), size, most_rows=_KEY_ROWS)
    canvas = np.full((2 * line + height + below.height, across, 3), DARK, np.uint8)
    _write(canvas[:line], heading, size)
    for number, (title, picture) in enumerate(pictures.items()):
        left = number * (width + _GAP)
        _write(canvas[line : 2 * line, left : left + width], title, size)
        canvas[2 * line : 2 * line + height, left : left + width] = picture
    below.write(canvas[2 * line + height :])
    return canvas


def heading(name: str, *facts: str) -> str:
    """Return a line with the name of an image, of which the end is kept if it is long, and what is known of it."""
    shown = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
    return ", ".join([shown, *facts])


def _write(canvas: NDArray[np.uint8], line: str, size: int) -> None:
    """Write a line into the middle of the left end of ``canvas``, in place."""
    height, width = canvas.shape[:2]
    pen = text.Pen(canvas, (0, 0, width, height))
    pen.line(line, 0.4 * size, height / 2, size, LIGHT)
    pen.finish()
