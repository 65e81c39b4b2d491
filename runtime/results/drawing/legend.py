"""The legend: a strip below a picture that has the color and the name of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing import text
from pem_edge.runtime.results.drawing.colors import DARK, LIGHT, mix
from pem_edge.runtime.results.drawing.palette import Color

_MOST_OF_PICTURE = 0.5
"""Most height of a legend, as a share of the picture's, so that it does not dwarf a small one."""
_STEADY_ROWS = 2
"""Most rows of a legend whose height is the same under all frames of a video."""
_LINE, _FIELD, _INDENT, _BETWEEN = 1.6, 0.9, 1.3, 1.2
"""Height of a row, side of a color field, a name's distance from its field's left, and the distance of two entries, as
multiples of the size of letters."""


@dataclass(frozen=True)
class Entry:
    """A name, its color (None for a remark that has none), and whether it is in the picture."""

    name: str
    color: Color | None
    present: bool = True


@dataclass(frozen=True)
class _Placed:
    row: int
    left: int
    entry: Entry


@dataclass(frozen=True)
class Legend:
    """A legend that is laid out.

    Attributes:
        placed: The entries and where they are.
        hidden: The number of entries that have no room.
        rows: The number of rows.
        size: The height of letters in pixels.
    """

    placed: Sequence[_Placed]
    hidden: int
    rows: int
    size: int

    @property
    def height(self) -> int:
        """Height of the strip in pixels."""
        return round(self.rows * _LINE * self.size)

    def write(self, canvas: NDArray[np.uint8]) -> None:
        """Draw the legend onto a strip of its height, RGB uint8, in place."""
        canvas[:] = DARK
        if self.rows:
            pen = text.Pen(canvas, (0, 0, canvas.shape[1], canvas.shape[0]))
            for placed in self.placed:
                self._write(pen, placed.entry, placed.left, round((placed.row + 0.5) * _LINE * self.size))
            pen.finish()

    def _write(self, pen: text.Pen, entry: Entry, left: int, middle: int) -> None:
        fade, side = 0.0 if entry.present else 0.6, round(_FIELD * self.size)
        if entry.color is not None:
            field = (left, middle - side // 2, left + side, middle - side // 2 + side)
            pen.box(field, self.size // 4, mix(entry.color, DARK, fade), rim=1 if entry.present else 0)
        pen.line(entry.name, left + _indent(entry, self.size), middle, self.size, mix(LIGHT, DARK, fade))


def lay_out(entries: Sequence[Entry], shape: tuple[int, ...], size: int, *, most_rows: int | None = None) -> Legend:
    """Return the legend of a picture (H, W), as wide as it. Entries that have no room are counted at the end.

    Args:
        entries: The entries in their order.
        shape: The picture's shape.
        size: The height of letters in pixels.
        most_rows: Most rows; None for as many as take half of the picture's height.
    """
    room = int(_MOST_OF_PICTURE * shape[0] / (_LINE * size)) if most_rows is None else most_rows
    placed, row, left = list[_Placed](), 0, size
    for entry in entries:
        across = _width(entry, size)
        if left + across > shape[1] and left > size:
            row, left = row + 1, size
        if row == room or left + across > shape[1]:
            break
        placed.append(_Placed(row, left, entry))
        left += across + round(_BETWEEN * size)
    hidden = len(entries) - len(placed)
    if hidden and room:
        placed = _with_remark(placed, hidden, shape[1], size)
    return Legend(placed, hidden, placed[-1].row + 1 if placed else 0, size)


def lay_out_steady(entries: Sequence[Entry], shape: tuple[int, ...], size: int) -> Legend:
    """Return a legend whose height depends on the classes and the size alone, as all frames of a video have one size.

    If there is room for all classes, they keep their places, and those that are not in the picture are faded.

    Args:
        entries: The entries of all classes, in the order of their indices.
        shape: The picture's shape (H, W).
        size: The height of letters in pixels.
    """
    rows = min(_STEADY_ROWS, int(_MOST_OF_PICTURE * shape[0] / (_LINE * size)))
    everything = lay_out(entries, shape, size, most_rows=rows)
    if not everything.hidden:
        return everything
    shown = lay_out([entry for entry in entries if entry.present], shape, size, most_rows=rows)
    return Legend(shown.placed, shown.hidden, rows, size)


def _with_remark(placed: Sequence[_Placed], hidden: int, width: int, size: int) -> list[_Placed]:
    """Return as many of the entries as leave room for the number of all others, and that; all of them if none do."""
    for kept in range(len(placed), 0, -1):
        remark, last = Entry(f"+{hidden + len(placed) - kept}", None), placed[kept - 1]
        left = last.left + _width(last.entry, size) + round(_BETWEEN * size)
        if left + _width(remark, size) <= width:
            return [*placed[:kept], _Placed(last.row, left, remark)]
    return list(placed)


def _width(entry: Entry, size: int) -> int:
    return round(_indent(entry, size) + text.width_of(entry.name, size))


def _indent(entry: Entry, size: int) -> float:
    return 0.0 if entry.color is None else _INDENT * size
