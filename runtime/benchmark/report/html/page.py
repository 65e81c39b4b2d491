"""A report as one HTML page that needs nothing else: no script to be read, no font, no network."""

from __future__ import annotations

import msgspec

from pem_edge.runtime.benchmark.report import details, summary, tables, wording
from pem_edge.runtime.benchmark.report.html import charts, colors, document, svg
from pem_edge.runtime.benchmark.report.html.charts import Chart
from pem_edge.runtime.benchmark.report.html.element import Markup, embedded_json, join, tag
from pem_edge.runtime.benchmark.report.html.scale import Scale, from_zero
from pem_edge.runtime.benchmark.report.html.scatter import scatter
from pem_edge.runtime.benchmark.report.tables import Table
from pem_edge.runtime.benchmark.report.wording import UNKNOWN, Cell, Name, Words
from pem_edge.runtime.benchmark.schema import Layer, Profile, Report

_SHORT = 44  # characters of a name where the full one would be in the way
_IN_TEXT = 30  # and within sentences, such that a phone shows it in one line


def report(found: Report) -> str:
    """Render a report as a page."""
    body = tag("main", _header(found), *_sections(found), *_behind(found))
    data = embedded_json(msgspec.json.encode(found), "report")
    return document.page(wording.title(found), body, data, css=colors.styles())


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
    overview = document.section("Latency", document.table(by_title.pop("Latency"), "named"))
    plan = (("Where the time goes", "Stages"), ("How steady", ""), ("Over the rounds", ""),
            ("How close to the machine", "How close to the machine"))  # fmt: skip
    sections = [overview, *_speed_and_accuracy(found, by_title.pop("Accuracy", None))]
    for title, table in plan:
        parts = [tag("p", _words(summary.where_time_goes(found)))] if table == "Stages" else []
        parts += [_chart(drawn[title])] if title in drawn else []
        parts += [document.table(by_title.pop(table))] if table in by_title else []
        sections += [document.section(title, *parts)] if parts else []
    return sections + [document.section(title, document.table(table)) for title, table in by_title.items()]


def _speed_and_accuracy(found: Report, table: Table | None) -> list[Markup]:
    drawing = scatter(found)
    if table is None:
        return []
    if drawing is None:
        return [document.section("Accuracy", document.table(table))]
    note = "Up is more accurate, left is faster. The line joins those that no other beats in both."
    figure = tag("figure", tag("figcaption", note), drawing)
    return [document.section("Speed and accuracy", figure, document.table(table))]


def _behind(found: Report) -> list[Markup]:
    """Return what stands behind the figures."""
    named = list(zip(wording.names(found.artifacts), found.artifacts, strict=True))
    layers = [_layers(name, each.profile) for name, each in named if each.profile]
    stages = [_card(name, document.table(details.stage_times(each))) for name, each in named]
    sections = [document.section("Costliest layers", *layers, class_="cards")] if layers else []
    sections.append(document.section("Every stage", *stages, class_="cards"))
    rest = (details.compared_stages(found), details.artifacts(found), details.machine(found), details.missing(found))
    return sections + [document.section(table.title, document.table(table)) for table in rest if table.rows]


def _card(name: Name, *parts: Markup) -> Markup:
    return tag("article", tag("h3", document.name(name, _SHORT)), *parts, class_=colors.css_class(name.number))


def _chart(chart: Chart) -> Markup:
    rows = (
        tag("div", tag("div", document.name(row.name, _SHORT) if row.name else tag("span", "Reference work"),
                       tag("span", row.figure, class_="figure"), class_="label"),
            row.drawing, class_=f"row {colors.css_class(row.name.number) if row.name else 'machine'}")
        for row in chart.rows
    )  # fmt: skip
    axis = tag("div", tag("div", class_="label"), chart.axis, class_="row")
    return tag("figure", tag("figcaption", chart.note), *rows, axis)


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
    label = tag("div", document.cell(name), tag("span", text, class_="figure"), class_="label")
    bars = (
        svg.bar(scale, 0, layer.share, 0, 6, text, class_="shade-0"),
        svg.bar(scale, 0, layer.share * min(1.0, layer.fraction or 0.0), 0, 6, text, class_="solid"),
    )
    return tag("li", label, svg.chart(f"Share of {name}", text, 8, *bars))


def _words(found: Words) -> Markup:
    return join(*(document.name(part, _IN_TEXT) if isinstance(part, Name) else part for part in found))
