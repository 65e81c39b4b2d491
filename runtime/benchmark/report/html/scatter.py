"""The chart of latency against PQ."""

from __future__ import annotations

from dataclasses import dataclass

from pem_edge.runtime.benchmark.report import ranking, wording
from pem_edge.runtime.benchmark.report.html import svg
from pem_edge.runtime.benchmark.report.html.colors import css_class
from pem_edge.runtime.benchmark.report.html.element import Markup, tag
from pem_edge.runtime.benchmark.report.html.scale import Scale, around, from_zero
from pem_edge.runtime.benchmark.report.wording import Name
from pem_edge.runtime.benchmark.schema import Report

_HEIGHT = 280
_MARK, _BADGE, _APART = 5, 9, 19  # radii, and how far a badge is above its mark or the next badge, in pixels
_NEAR = 0.06, 0.08  # shares of width and height within which badges would overlap
_LEAST_PQ = 2.0  # points that the axis shows at least, so that a rounding is no cliff


@dataclass(frozen=True)
class _Point:
    name: Name
    latency: float
    pq: float

    @property
    def text(self) -> str:
        return f"{self.name.text}: {wording.milliseconds(self.latency)} ms, PQ {wording.points(self.pq)}"


def scatter(report: Report) -> Markup | None:
    """Return a plot of each artifact's median latency and PQ, or None for fewer than two.

    Those that no other beats in both are joined.
    """
    points = [
        _Point(name, artifact.stages["total"].p50, artifact.accuracy.pq)
        for name, artifact in zip(wording.names(report.artifacts), report.artifacts, strict=True)
        if artifact.accuracy and artifact.accuracy.pq is not None
    ]
    if len(points) < 2:
        return None
    across = from_zero(max(point.latency for point in points))
    up = around([point.pq for point in points], min_length=_LEAST_PQ)
    kept = ranking.worth_shipping(report)
    front = sorted((across.position(point.latency), up.position(point.pq)) for point in points if point.name in kept)
    marks = (svg.grid(across, _HEIGHT), svg.levels(up), svg.stretched(svg.curve(front), class_="front"))
    texts = "; ".join(point.text for point in points)
    drawing = svg.chart("Latency against PQ", texts, _HEIGHT, *marks, *_dots(points, across, up))
    title = tag("div", "PQ, 100 at best", class_="up")
    return tag("div", title, drawing, svg.axis(across, "milliseconds per image, p50"), class_="xy")


def _dots(points: list[_Point], across: Scale, up: Scale) -> list[Markup]:
    """Return marks first, so that none covers a badge; the badges of neighbors are stacked."""
    places = [(across.position(point.latency), up.position(point.pq)) for point in points]
    marks, badges = [], []
    for index, (point, (x, y)) in enumerate(zip(points, places, strict=True)):
        below = sum(abs(x - left) < _NEAR[0] and abs(y - low) < _NEAR[1] for left, low in places[:index])
        at = {"x": across.percent(point.latency), "y": up.percent_down(point.pq)}
        mark = tag("circle", tag("title", point.text), cx=at["x"], cy=at["y"], r=_MARK)
        marks.append(tag("g", mark, class_=f"mark {css_class(point.name.number)}"))
        badges.append(_badge(point.name.number, at["x"], at["y"], -_APART * (below + 1)))
    return [*marks, *badges]


def _badge(number: int, x: str, y: str, up: int) -> Markup:
    text = tag("text", str(number), x=x, y=y, dy="0.35em", text_anchor="middle")
    circle = tag("circle", cx=x, cy=y, r=_BADGE)
    return tag("g", circle, text, class_=f"dot {css_class(number)}", transform=f"translate(0 {up})")
