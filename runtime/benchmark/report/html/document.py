"""What pages have in common: the document with its style, sections, tables, and names with their numbers."""

from __future__ import annotations

from importlib.resources import files

from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.report.html import colors
from pem_edge.runtime.benchmark.report.html.element import Markup, join, style, tag
from pem_edge.runtime.benchmark.report.tables import Table
from pem_edge.runtime.benchmark.report.wording import Cell, Name

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, *body: Markup, css: str) -> str:
    """Return a whole page, which needs nothing else, in the style of all pages and in ``css``."""
    return f"<!doctype html>\n{tag('html', _head(title, css), tag('body', *body), lang='en')}\n"


def section(title: str, *parts: Markup, class_: str | None = None) -> Markup:
    """Return a part of a page under its heading."""
    return tag("section", tag("h2", title), tag("div", *parts, class_=class_))


def table(content: Table, class_: str = "") -> Markup:
    """Return a table with its note above; what is too wide scrolls."""
    head = tag(
        "tr", *(tag("th", text, scope="col", class_=_side(content, i)) for i, text in enumerate(content.columns))
    )
    rows = (tag("tr", *_cells(content, row)) for row in content.rows)
    whole = tag("table", tag("caption", content.title), tag("thead", head), tag("tbody", *rows))
    frame = tag("div", whole, class_="scroll", role="region", aria_label=content.title, tabindex="0")
    return tag("div", tag("p", content.note, class_="note"), frame, class_=f"table {class_}".strip())


def cell(content: Cell) -> Markup:
    """Return what a cell of a table has in it."""
    return name(content) if isinstance(content, Name) else join(content)


def name(of: Name, width: int = 10**6) -> Markup:
    """Return a name with its number; tables alone have room for long ones."""
    badge = tag("span", str(of.number), class_=f"badge {colors.css_class(of.number)}")
    text = wording.shortened(of.text, width)
    return tag(
        "span",
        badge,
        "\N{NO-BREAK SPACE}",
        tag("bdi", text, title=of.text if text != of.text else None),
        class_="name",
    )


def _head(title: str, css: str) -> Markup:
    sheet = (files("pem_edge.runtime.benchmark.report.html") / "page.css").read_text("utf-8")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        style(f"{sheet}\n{css}"),
    )


def _cells(content: Table, row: tuple[Cell, ...]) -> list[Markup]:
    first, *others = row
    cells = (tag("td", cell(each), class_=_side(content, index)) for index, each in enumerate(others, 1))
    return [tag("th", cell(first), scope="row"), *cells]


def _side(content: Table, column: int) -> str | None:
    return "number" if content.numeric(column) else None
