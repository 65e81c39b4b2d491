"""A report for a pull request, in GitHub's Markdown."""

from __future__ import annotations

import re

from pem_edge.runtime.benchmark.report import details, summary, tables, wording
from pem_edge.runtime.benchmark.report.tables import Table
from pem_edge.runtime.benchmark.report.wording import Cell, Name, Words
from pem_edge.runtime.benchmark.schema import Report

_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&@!]|:(?=//)")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", ":": "&#58;"}


def report(found: Report) -> str:
    """Return the summary, the tables, and folded away what stands behind them."""
    title = f"# {escaped(wording.title(found))}"
    parts = [title, *map(paragraph, summary.summary(found)), escaped(". ".join(wording.about(found)))]
    parts += [table(each) for each in tables.main(found)]
    parts += [folded(each.title, table(each, level=0)) for each in _behind(found)]
    return "\n\n".join(parts) + "\n"


def paragraph(found: Words) -> str:
    """Render sentences as a paragraph."""
    return "".join(map(_text, found)).strip()


def table(found: Table, level: int = 2) -> str:
    """Return a table under a heading of that level; 0 is none."""
    heading = [f"{'#' * level} {escaped(found.title)}"] if level else []
    rule = "|".join(["", *(" ---: " if found.numeric(i) else " --- " for i in range(len(found.columns))), ""])
    rows = [_row(found.columns), rule, *map(_row, found.rows)]
    return "\n\n".join([*heading, escaped(found.note), "\n".join(rows)])


def folded(title: str, content: str) -> str:
    """Return what is shown on a click."""
    return f"<details><summary>{escaped(title)}</summary>\n\n{content}\n\n</details>"


def escaped(text: str) -> str:
    """Return ``text`` such that nothing in it is Markdown, HTML, a link or a mention."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)


def code(text: str) -> str:
    """Return ``text`` as inline code, in which nobody is mentioned and nothing is a link."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _behind(found: Report) -> list[Table]:
    more = [
        details.compared_stages(found),
        *details.all_layers(found),
        details.artifacts(found),
        details.machine(found),
    ]
    return [each for each in (*more, details.missing(found)) if each.rows]


def _row(cells: tuple[Cell, ...]) -> str:
    return "| " + " | ".join(map(_text, cells)) + " |"


def _text(cell: Cell) -> str:
    return f"**{cell.number}** {code(cell.text)}" if isinstance(cell, Name) else escaped(cell)
