"""Curves over the steps of a run, as drawings for a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pem_edge.runtime.benchmark.report.html import svg
from pem_edge.runtime.benchmark.report.html.colors import css_class
from pem_edge.runtime.benchmark.report.html.element import Markup, tag
from pem_edge.runtime.benchmark.report.html.scale import Scale, from_zero, label

_HEIGHT = 240
_MOST_POINTS = 400
_MARKED = 40
"""The most points of a curve at which it has a mark."""


@dataclass(frozen=True)
class Curve:
    """A figure over the steps.

    Attributes:
        name: What it is.
        points: Steps, rising, each with the figure after it; at least one.
    """

    name: str
    points: Sequence[tuple[float, float]]


def curves_of(rows: Iterable[dict[str, float]], columns: dict[str, str]) -> list[Curve]:
    """Return a curve for each of ``columns``, with its name, that rows of a table have figures in."""
    rows = list(rows)
    found = (
        Curve(name, [(row["step"], row[column]) for row in rows if column in row]) for column, name in columns.items()
    )
    return [curve for curve in found if curve.points]


def chart(title: str, note: str, curves: Sequence[Curve], *, best: int | None = None) -> Markup:
    """Return curves above one axis of steps, and a key with their latest figures.

    Args:
        title: What they are.
        note: What is to be known to read them.
        curves: The curves, at least one.
        best: The step to mark, if any.
    """
    across = Scale(0.0, max(1.0, *(curve.points[-1][0] for curve in curves)), whole=True)
    up = from_zero(_top(curves))
    lines = (mark for number, curve in enumerate(curves, 1) for mark in _line(curve, number, across, up))
    marks = [svg.grid(across, _HEIGHT), svg.levels(up), *_best(best, across), *lines]
    latest = ", ".join(f"{curve.name} {label(curve.points[-1][1])}" for curve in curves)
    drawing = svg.chart(title, f"After step {curves[0].points[-1][0]:.0f}: {latest}", _HEIGHT, *marks)
    plot = tag("div", drawing, svg.axis(across, "step"), class_="xy")
    return tag("figure", tag("figcaption", note), tag("ul", *_key(curves), class_="key"), plot)


def _key(curves: Sequence[Curve]) -> Iterator[Markup]:
    for number, curve in enumerate(curves, 1):
        figure = tag("span", f"{curve.points[-1][1]:.4g}", class_="latest")
        yield tag("li", curve.name, " ", figure, class_=css_class(number))


def _line(curve: Curve, number: int, across: Scale, up: Scale) -> Iterator[Markup]:
    points = _thinned(curve.points)
    places = [(across.position(step), up.position(value)) for step, value in points]
    yield svg.stretched(svg.curve(places), class_=f"line {css_class(number)}")
    if len(curve.points) <= _MARKED:
        for step, value in points:
            text = tag("title", f"{curve.name} {label(value)} after step {step:.0f}")
            circle = tag("circle", text, cx=across.percent(step), cy=up.percent_down(value), r=3.5)
            yield tag("g", circle, class_=f"mark {css_class(number)}")


def _best(step: int | None, across: Scale) -> Iterator[Markup]:
    if step is not None:
        at = across.percent(step)
        yield tag("line", tag("title", f"best, after step {step}"), x1=at, x2=at, y1=0, y2=_HEIGHT, class_="tail")
        yield tag("text", "best", x=at, y=-6, text_anchor="middle")


def _top(curves: Sequence[Curve]) -> float:
    """Return the highest figure, but for those of the first tenth of a long curve, which may be far above the rest."""
    return max(value for curve in curves for _, value in curve.points[len(curve.points) // 10 :])


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points, or the means of neighbors where there are more than can be told apart."""
    size = -(-len(points) // _MOST_POINTS)
    groups = (points[start : start + size] for start in range(0, len(points), size))
    return [(group[-1][0], fmean(value for _, value in group)) for group in groups]
