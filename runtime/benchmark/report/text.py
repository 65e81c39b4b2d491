"""Renders reports for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pem_edge.runtime.benchmark.report import details, summary, tables, wording
from pem_edge.runtime.benchmark.report.tables import Table
from pem_edge.runtime.benchmark.report.wording import Cell, Name, Words
from pem_edge.runtime.benchmark.schema import Report

WIDTH = 80
_MIN_WIDTH = 12  # of the first column, in characters, however wide the other columns are
_GAP = "  "


def report(found: Report) -> str:
    """Render a whole report: the tables, then the summary."""
    heading = "\n".join(map(_wrap, wording.about(found)))
    shown = [*tables.main(found), *details.all_layers(found)]
    parts = [heading, *map(table, shown), *map(paragraph, summary.summary(found))]
    return "\n\n".join(parts)


def paragraph(found: Words) -> str:
    """Render sentences, wrapped to the terminal."""
    return _wrap(wording.plain(found).strip())


def table(found: Table) -> str:
    """Render a title and aligned columns. Only the first column is shortened, in the middle, if the row is too wide."""
    rows = [tuple(map(_text, row)) for row in found.rows]
    widths = [max(map(len, column)) for column in zip(found.columns, *rows, strict=True)]
    widths[0] = min(widths[0], max(_MIN_WIDTH, WIDTH - sum(widths[1:]) - len(_GAP) * (len(widths) - 1)))
    headings = wording.shortened_apart([row[0] for row in rows], widths[0])
    rows = [(heading, *row[1:]) for heading, row in zip(headings, rows, strict=True)]
    title = f"{found.title}. {found.note}"
    signs = [">" if found.numeric(column) else "<" for column in range(len(widths))]
    return "\n".join([_wrap(title), *(_line(row, widths, signs) for row in (found.columns, *rows))])


def _line(cells: Sequence[str], widths: Sequence[int], signs: Sequence[str]) -> str:
    return _GAP.join(f"{cell:{sign}{width}}" for cell, sign, width in zip(cells, signs, widths, strict=True)).rstrip()


def _text(cell: Cell) -> str:
    return f"{cell.number} {cell.text}" if isinstance(cell, Name) else cell


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH)
