"""A report as one HTML page that needs nothing else: no script to be read, no font, no network."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from pem_edge.runtime.benchmark.report import details, summary, tables, wording
from pem_edge.runtime.benchmark.report.html import charts, colors, svg
from pem_edge.runtime.benchmark.report.html.charts import Chart
from pem_edge.runtime.benchmark.report.html.element import Markup, embedded_json, join, style, tag
from pem_edge.runtime.benchmark.report.html.scale import Scale, from_zero
from pem_edge.runtime.benchmark.report.html.scatter import scatter
from pem_edge.runtime.benchmark.report.tables import Table
from pem_edge.runtime.benchmark.report.wording import UNKNOWN, Cell, Name, Words
from pem_edge.runtime.benchmark.schema import Layer, Profile, Report

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SHORT = 44  # characters of a name where the full one would be in the way
_IN_TEXT = 30  # and within sentences, such that a phone shows it in one line


def report(found: Report) -> str:
    """Render a report as a page."""
    body = tag("main", _header(found), *_sections(found), *_behind(found))
    data = embedded_json(msgspec.json.encode(found), "report")
    return f"<!doctype html>\n{tag('html', _head(found), tag('body', body, data), lang='en')}\n"


def _head(found: Report) -> Markup:
    sheet = (files("pem_edge.runtime.benchmark.report.html") / "page.css").read_text("utf-8")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", wording.title(found)),
        style(f"{sheet}\n{colors.styles()}"),
    )


def _header(found: Report) -> Markup:
    return tag(
        "header",
        tag("h1", wording.title(found)),
        tag("p", _words(summary.artifacts(found))),
        tag("p", _words(summary.lead(found)), class_="verdict"),
        *(tag("p", line, class_="about") for line in wording.about(found)),
    )


def _sections(found: Report) -> list[Markup]:
    """Return each chart with the table of its figures, then the tables that have none."""
    by_title = {table.title: table for table in tables.main(found)}
    drawn = {chart.title: chart for chart in charts.all_charts(found)}
    overview = _section("Latency", _table(by_title.pop("Latency"), "named"))
    plan = (("Where the time goes", "Stages"), ("How steady", ""), ("Over the rounds", ""),
            ("How close to the machine", "How close to the machine"))  # fmt: skip
    sections = [overview, *_speed_and_accuracy(found, by_title.pop("Accuracy", None))]
    for title, table in plan:
        parts = [tag("p", _words(summary.where_time_goes(found)))] if table == "Stages" else []
        parts += [_chart(drawn[title])] if title in drawn else []
        parts += [_table(by_title.pop(table))] if table in by_title else []
        sections += [_section(title, *parts)] if parts else []
    return sections + [_section(title, _table(table)) for title, table in by_title.items()]


def _speed_and_accuracy(found: Report, table: Table | None) -> list[Markup]:
    drawing = scatter(found)
    if table is None:
        return []
    if drawing is None:
        return [_section("Accuracy", _table(table))]
    note = "Up is more accurate, left is faster. The line joins those that no other beats in both."
    figure = tag("figure", tag("figcaption", note), drawing)
    return [_section("Speed and accuracy", figure, _table(table))]


def _behind(found: Report) -> list[Markup]:
    """Return what stands behind the figures."""
    named = list(zip(wording.names(found.artifacts), found.artifacts, strict=True))
    layers = [_layers(name, each.profile) for name, each in named if each.profile]
    stages = [_card(name, _table(details.stage_times(each))) for name, each in named]
    sections = [_section("Costliest layers", *layers, class_="cards")] if layers else []
    sections.append(_section("Every stage", *stages, class_="cards"))
    rest = (details.compared_stages(found), details.artifacts(found), details.machine(found), details.missing(found))
    return sections + [_section(table.title, _table(table)) for table in rest if table.rows]


def _section(title: str, *parts: Markup, class_: str | None = None) -> Markup:
    return tag("section", tag("h2", title), tag("div", *parts, class_=class_))


def _card(name: Name, *parts: Markup) -> Markup:
    return tag("article", tag("h3", _name(name, _SHORT)), *parts, class_=colors.css_class(name.number))


def _chart(chart: Chart) -> Markup:
    rows = (
        tag("div", tag("div", _name(row.name, _SHORT) if row.name else tag("span", "Reference work"),
                       tag("span", row.figure, class_="figure"), class_="label"),
            row.drawing, class_=f"row {colors.css_class(row.name.number) if row.name else 'machine'}")
        for row in chart.rows
    )  # fmt: skip
    axis = tag("div", tag("div", class_="label"), chart.axis, class_="row")
    return tag("figure", tag("figcaption", chart.note), *rows, axis)


def _table(table: Table, class_: str = "") -> Markup:
    head = tag("tr", *(tag("th", text, scope="col", class_=_side(table, i)) for i, text in enumerate(table.columns)))
    rows = (tag("tr", *_cells(table, row)) for row in table.rows)
    content = tag("table", tag("caption", table.title), tag("thead", head), tag("tbody", *rows))
    frame = tag("div", content, class_="scroll", role="region", aria_label=table.title, tabindex="0")
    return tag("div", tag("p", table.note, class_="note"), frame, class_=f"table {class_}".strip())


def _cells(table: Table, row: tuple[Cell, ...]) -> list[Markup]:
    first, *others = row
    cells = (tag("td", _cell(cell), class_=_side(table, index)) for index, cell in enumerate(others, 1))
    return [tag("th", _cell(first), scope="row"), *cells]


def _layers(name: Name, profile: Profile) -> Markup:
    """Return a table of layers with a bar under each."""
    table = details.layers(profile)
    note = table.note + (" The solid part of a bar is the limit." if profile.by_bound else "")
    scale = from_zero(max((layer.share for layer in profile.layers), default=1.0))
    items = (_layer(row, layer, scale) for row, layer in zip(table.rows, profile.layers, strict=True))
    return _card(name, tag("p", note, class_="note"), tag("ol", *items, class_="layers"))


def _layer(row: tuple[Cell, ...], layer: Layer, scale: Scale) -> Markup:
    name, kind, time, share, limit, reached, bound = row
    text = f"{kind}: {time} ms, {share}"
    if limit != UNKNOWN:
        text += f"; limit {limit} ms, {reached} reached; {bound}-bound"
    label = tag("div", _cell(name), tag("span", text, class_="figure"), class_="label")
    bars = (
        svg.bar(scale, 0, layer.share, 0, 6, text, class_="shade-0"),
        svg.bar(scale, 0, layer.share * min(1.0, layer.fraction or 0.0), 0, 6, text, class_="solid"),
    )
    return tag("li", label, svg.chart(f"Share of {name}", text, 8, *bars))


def _side(table: Table, column: int) -> str | None:
    return "number" if table.numeric(column) else None


def _words(found: Words) -> Markup:
    return join(*(_name(part, _IN_TEXT) if isinstance(part, Name) else part for part in found))


def _cell(cell: Cell) -> Markup:
    return _name(cell) if isinstance(cell, Name) else join(cell)


def _name(name: Name, width: int = 10**6) -> Markup:
    """Return a name with its number; tables alone have room for long ones."""
    badge = tag("span", str(name.number), class_=f"badge {colors.css_class(name.number)}")
    text = wording.shortened(name.text, width)
    return tag(
        "span",
        badge,
        "\N{NO-BREAK SPACE}",
        tag("bdi", text, title=name.text if text != name.text else None),
        class_="name",
    )
