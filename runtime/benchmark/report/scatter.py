"""The chart of latency against PQ."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.benchmark.report import summary, svg, words
from runtime.benchmark.report.colors import css_class
from runtime.benchmark.report.element import Markup, tag
from runtime.benchmark.report.scale import Scale, around, from_zero, label
from runtime.benchmark.report.words import Name
from runtime.benchmark.schema import Report

_HEIGHT = 280
_RADIUS = 11
_LEAST_PQ = 2.0  # points that the axis shows at least, so that a rounding is no cliff

Points = Sequence[tuple[Name, float, float]]


def scatter(report: Report) -> Markup | None:
    """Each artifact's median latency and PQ, joined where no other is better in both; None for fewer than two."""
    points = [
        (name, artifact.stages["total"].p50, artifact.accuracy.pq)
        for name, artifact in zip(words.names(report.artifacts), report.artifacts, strict=True)
        if artifact.accuracy and artifact.accuracy.pq is not None
    ]
    if len(points) < 2:
        return None
    across, up = from_zero(max(x for _, x, _ in points)), around([y for *_, y in points], least=_LEAST_PQ)
    kept = summary.worth_shipping(report)
    front = [(across.share(x), up.share(y)) for name, x, y in sorted(points, key=_latency) if name in kept]
    texts = (f"{name.text}: {words.milliseconds(x)} ms, PQ {words.points(y)}" for name, x, y in points)
    marks = (svg.grid(across, _HEIGHT), _levels(up), svg.stretched(svg.curve(front), class_="front"))
    dots = (_dot(name, across.percent(x), _y(up, y), f"{name.text}: {words.milliseconds(x)} ms, PQ {words.points(y)}")
            for name, x, y in points)  # fmt: skip
    drawing = svg.chart("Latency against PQ", "; ".join(texts), _HEIGHT, *marks, *dots)
    return tag("div", drawing, svg.axis(across, "milliseconds an image, p50"), class_="xy")


def _latency(point: tuple[Name, float, float]) -> float:
    return point[1]


def _levels(scale: Scale) -> Markup:
    marks = []
    for tick in scale.ticks():
        y = _y(scale, tick)
        marks += [tag("line", x1="0", x2="100%", y1=y, y2=y), tag("text", label(tick), x="0", dx=-8, y=y, dy="0.35em",
                                                               text_anchor="end")]  # fmt: skip
    return tag("g", *marks, class_="grid")


def _dot(name: Name, x: str, y: str, text: str) -> Markup:
    circle = tag("circle", tag("title", text), cx=x, cy=y, r=_RADIUS)
    number = tag("text", str(name.number), x=x, y=y, dy="0.35em", text_anchor="middle")
    return tag("g", circle, number, class_=f"dot {css_class(name.number)}")


def _y(scale: Scale, value: float) -> str:
    return f"{100 * (1 - scale.share(value)):.2f}%"
