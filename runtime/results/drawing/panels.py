"""Pictures beside each other, with a title for each and a key: one row with a heading, or a sheet of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing import legend, text
from pem_edge.runtime.results.drawing.colors import DARK, LIGHT
from pem_edge.runtime.results.drawing.legend import Entry

_GAP = 8
_LINE = 1.6
"""Height of a line, as a multiple of the size of letters."""
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
    across = len(pictures) * (width + _GAP) - _GAP
    above = np.full((round(_LINE * size), across, 3), DARK, np.uint8)
    _write(above, heading, size)
    below = _key(key, across, size, _KEY_ROWS)
    return np.concatenate([above, _row(list(pictures.items()), width, len(pictures), size), below])


def sheet(
    pictures: Sequence[tuple[str, NDArray[np.uint8]]], columns: int, key: Sequence[Entry], size: int
) -> NDArray[np.uint8]:
    """Return rows of pictures, each under its title, and a key below, RGB uint8 (H, W, 3).

    Args:
        pictures: Titles, and pictures of any sizes, RGB uint8 (H, W, 3); at least one.
        columns: The number of pictures in a row.
        key: What colors mean.
        size: The height of letters in pixels.
    """
    width = max(picture.shape[1] for _, picture in pictures)
    columns = min(columns, len(pictures))
    starts = range(0, len(pictures), columns)
    rows = [_row(pictures[start : start + columns], width, columns, size) for start in starts]
    return np.concatenate([*rows, _key(key, rows[0].shape[1], size, len(key))])


def heading(name: str, *facts: str) -> str:
    """Return a line with the name of an image, of which the end is kept if it is long, and what is known of it."""
    shown = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
    return ", ".join([shown, *facts])


def _row(pictures: Sequence[tuple[str, NDArray[np.uint8]]], width: int, columns: int, size: int) -> NDArray[np.uint8]:
    """Return pictures at most ``width`` wide, each in a column of its own under its title."""
    line, height = round(_LINE * size), max(len(picture) for _, picture in pictures)
    canvas = np.full((line + height, columns * (width + _GAP) - _GAP, 3), DARK, np.uint8)
    for number, (title, picture) in enumerate(pictures):
        left = number * (width + _GAP)
        _write(canvas[:line, left : left + width], title, size)
        canvas[line : line + len(picture), left : left + picture.shape[1]] = picture
    return canvas


def _key(entries: Sequence[Entry], across: int, size: int, most_rows: int) -> NDArray[np.uint8]:
    placed = legend.lay_out(entries, (0, across), size, most_rows=most_rows)
    canvas = np.empty((placed.height, across, 3), np.uint8)
    placed.write(canvas)
    return canvas


def _write(canvas: NDArray[np.uint8], line: str, size: int) -> None:
    """Write a line into the middle of the left end of ``canvas``, in place."""
    height, width = canvas.shape[:2]
    pen = text.Pen(canvas, (0, 0, width, height))
    pen.line(line, 0.4 * size, height / 2, size, LIGHT)
    pen.finish()
