"""A report's charts of one row an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pem_edge.runtime.benchmark.report import tables, wording
from pem_edge.runtime.benchmark.report.html import svg
from pem_edge.runtime.benchmark.report.html.element import Markup, tag
from pem_edge.runtime.benchmark.report.html.scale import Scale, around, from_zero
from pem_edge.runtime.benchmark.report.wording import Name
from pem_edge.runtime.benchmark.schema import ArtifactReport, Report, Times
from pem_edge.runtime.plurals import plural

_BAR, _BAR_ROW = 22, 42
_HISTOGRAM, _SERIES = 46, 54
_BINS = 60
_LABELLED, _WIDE = 0.11, 0.3  # shares of the width that take a stage's label, and one on a phone


@dataclass(frozen=True)
class Row:
    """A row of a chart: whose it is (None: the machine's), the figure to read first, and the drawing."""

    name: Name | None
    figure: str
    drawing: Markup


@dataclass(frozen=True)
class Chart:
    """Rows above one axis."""

    title: str
    note: str
    rows: tuple[Row, ...]
    axis: Markup


def all_charts(report: Report) -> list[Chart]:
    """Return those that there are figures for: stages, distribution, drift and rate."""
    return [chart for make in (stages, spread, drift, rate) if (chart := make(report)).rows]


def stages(report: Report) -> Chart:
    """Return means of the stages, one after another."""
    scale = from_zero(max(each.stages["total"].mean for each in report.artifacts))
    rows = (
        Row(name, f"{wording.milliseconds(each.stages['total'].mean)} ms", _stages(name, each, scale))
        for name, each in _named(report)
    )
    names = ", ".join(map(wording.printable, tables.stage_names(report)[:-1]))
    note = f"Mean times. From left to right: {names}."
    return Chart("Where the time goes", note, tuple(rows), svg.axis(scale, "milliseconds per image"))


def spread(report: Report) -> Chart:
    """Return how the times of single images spread around their median."""
    scale = _relative_scale(report)
    rows = (
        Row(name, f"p50 {wording.milliseconds(total.p50)}, p99 {wording.milliseconds(total.p99)} ms",
            _histogram(name, total, scale))
        for name, total in _measured(report)
    )  # fmt: skip
    note = "How many images took how long, over each artifact's median. Solid line: p50; dashed: p99."
    return Chart("How steady", note, tuple(rows), svg.axis(scale, "time over the artifact's median"))


def drift(report: Report) -> Chart:
    """Return the times in the order measured, the reference work first."""
    scale = _relative_scale(report)
    reference_work = report.reference_work
    rows = [
        Row(name, f"CV {tables.variation(total)}", _series(name, total, scale)) for name, total in _measured(report)
    ]
    if rows and reference_work and len(reference_work.values) > 1:
        rows.insert(0, Row(None, f"CV {tables.variation(reference_work)}", _series(None, reference_work, scale)))
    note = (
        "Times in the order measured, over each artifact's median. Artifacts take turns: where all of them rise "
        "together with the reference work, a fixed piece of work, the machine was slower."
    )
    return Chart("Over the rounds", note, tuple(rows), svg.axis(Scale(1, max(2, report.rounds), whole=True), "round"))


def rate(report: Report) -> Chart:
    """Return the share of its limit that inference reaches."""
    found = [(name, each.rate) for name, each in _named(report) if each.rate and each.rate.limit is not None]
    scale = Scale(0.0, max([1.0, *(rate.fraction or 0.0 for _, rate in found)]))
    rows = []
    for name, each in found:
        text = f"{wording.percent(each.fraction)} of the limit, {wording.milliseconds(each.limit or 0.0)} ms at least"
        marks = (
            svg.bar(scale, 0, 1, 4, _BAR, "", class_="track"),
            svg.bar(scale, 0, each.fraction or 0.0, 4, _BAR, text, class_="solid"),
        )
        rows.append(Row(name, text, svg.chart(f"Share of its limit that {name.text} reaches", text, _BAR + 8, *marks)))
    note = "The least time in which this machine can compute and move what the nodes must, over the time of inference."
    return Chart("How close to the machine", note, tuple(rows), svg.axis(scale, "share of the limit"))


def _stages(name: Name, artifact: ArtifactReport, scale: Scale) -> Markup:
    marks, texts, start = [], [], 0.0
    for index, (stage, times) in enumerate(item for item in tables.ordered(artifact.stages) if item[0] != "total"):
        text = f"{wording.printable(stage)} {wording.milliseconds(times.mean)} ms"
        shade = "solid" if stage == "inference" else f"shade-{index % 2}"
        marks += [svg.bar(scale, start, start + times.mean, 2, _BAR, text, class_=f"stage {shade}"),
                  *_stage_label(scale, start, times.mean, wording.printable(stage))]  # fmt: skip
        texts.append(text)
        start += times.mean
    return svg.chart(f"Stages of {name.text}", ", ".join(texts), _BAR_ROW, svg.grid(scale, _BAR_ROW), *marks)


def _stage_label(scale: Scale, start: float, length: float, text: str) -> Iterator[Markup]:
    share = scale.position(start + length) - scale.position(start)
    if share >= _LABELLED:
        size = "wide" if share >= _WIDE else "narrow"
        yield tag("text", text, x=scale.percent(start + length / 2), y=_BAR + 15, text_anchor="middle", class_=size)


def _histogram(name: Name, times: Times, scale: Scale) -> Markup:
    counts = [0] * _BINS
    for value in times.values:
        counts[min(_BINS - 1, int(scale.position(value / times.p50) * _BINS))] += 1
    path = svg.steps([0.92 * count / max(counts) for count in counts])
    lines = (
        tag("line", x1=at, x2=at, y1=0, y2=_HISTOGRAM, class_=kind)
        for at, kind in ((scale.percent(1.0), "median"), (scale.percent(times.p99 / times.p50), "tail"))
    )
    marks = svg.grid(scale, _HISTOGRAM), svg.stretched(path, class_="area"), *lines
    percentiles = f"p50 {wording.milliseconds(times.p50)} ms, p99 {wording.milliseconds(times.p99)} ms"
    description = f"{plural(times.samples, 'image')}; {percentiles}"
    return svg.chart(f"Distribution of the times of {name.text}", description, _HISTOGRAM, *marks)


def _series(name: Name | None, times: Times, scale: Scale) -> Markup:
    last = len(times.values) - 1
    points = [(i / last, scale.position(value / times.p50)) for i, value in enumerate(times.values)]
    marks = []
    for tick in scale.ticks(4):
        y = scale.percent_down(tick)
        marks += [tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"),
                  tag("text", f"{tick:.4g}", x="100%", dx=4, y=y, dy="0.35em")]  # fmt: skip
    who = name.text if name else "the reference work"
    description = f"{plural(len(times.values), 'round')}, from {wording.times(min(times.values) / times.p50)} to "
    description += f"{wording.times(max(times.values) / times.p50)} times the median"
    line = svg.stretched(svg.curve(points), class_="line")
    return svg.chart(f"Times of {who} over the rounds", description, _SERIES, *marks, line)


def _relative_scale(report: Report) -> Scale:
    """Return a scale from the fastest to nearly the slowest time, over each artifact's median."""
    totals = [total for _, total in _measured(report)]
    ends = [*(total.minimum / total.p50 for total in totals), *(total.p99 / total.p50 for total in totals)]
    return around([1.0, *ends], min_length=0.1)


def _measured(report: Report) -> list[tuple[Name, Times]]:
    """Return those whose single times are known."""
    totals = [(name, each.stages["total"]) for name, each in _named(report)]
    return [(name, total) for name, total in totals if len(total.values) > 1]


def _named(report: Report) -> Sequence[tuple[Name, ArtifactReport]]:
    return list(zip(wording.names(report.artifacts), report.artifacts, strict=True))
