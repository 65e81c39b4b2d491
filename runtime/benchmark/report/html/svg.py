"""Charts as wide as their place: across, all is in percent of it; down, and in text, in pixels.

Curves are in a drawing of their own that is stretched (``stretched``), which percentages cannot do for paths.
"""

from __future__ import annotations

from collections.abc import Sequence

from pem_edge.runtime.benchmark.report.html.element import Markup, tag
from pem_edge.runtime.benchmark.report.html.scale import Scale, label

_UNITS = 1000
AXIS_HEIGHT = 34


def chart(title: str, description: str, height: float, *marks: Markup, class_: str = "") -> Markup:
    """Return a drawing ``height`` pixels high, which screen readers present with that title and description."""
    texts = (tag("title", title), tag("desc", description))
    return tag("svg", *texts, *marks, class_=f"chart {class_}".strip(), role="img", height=height, width="100%")


def grid(scale: Scale, height: float) -> Markup:
    """Return a line down at every tick."""
    lines = (tag("line", x1=at, x2=at, y1=0, y2=height) for at in map(scale.percent, scale.ticks()))
    return tag("g", *lines, class_="grid")


def levels(scale: Scale) -> Markup:
    """Return a line across at every tick of an axis that points up, its figure before it."""
    marks = []
    for tick in scale.ticks():
        y = scale.percent_down(tick)
        text = tag("text", label(tick), x="0", dx=-8, y=y, dy="0.35em", text_anchor="end")
        marks += [tag("line", x1="0", x2="100%", y1=y, y2=y), text]
    return tag("g", *marks, class_="grid")


def axis(scale: Scale, unit: str) -> Markup:
    """Return the ticks' figures, and below them what they are."""
    ticks = (tag("text", label(tick), x=scale.percent(tick), y=14, text_anchor="middle") for tick in scale.ticks())
    name = tag("text", unit, x="50%", y=30, text_anchor="middle")
    return tag("svg", *ticks, name, class_="chart axis", aria_hidden="true", height=AXIS_HEIGHT, width="100%")


def bar(scale: Scale, start: float, end: float, y: float, height: float, title: str, **attributes: str) -> Markup:
    """Return a bar across."""
    width = f"{100 * max(0.0, scale.position(end) - scale.position(start)):.2f}%"
    place = {"x": scale.percent(start), "y": f"{y:g}", "width": width, "height": f"{height:g}"}
    return tag("rect", tag("title", title), **place, **attributes)


def stretched(path: str, **attributes: str) -> Markup:
    """Return a path whose coordinates are shares of the chart in units of a thousandth, its line's width kept."""
    line = tag("path", d=path, vector_effect="non-scaling-stroke", **attributes)
    return tag("svg", line, viewBox=f"0 0 {_UNITS} {_UNITS}", preserveAspectRatio="none", width="100%", height="100%")


def curve(points: Sequence[tuple[float, float]]) -> str:
    """Return the path through points, each given as shares (0 to 1) across and up."""
    return "M" + "L".join(f"{x * _UNITS:.1f} {(1 - y) * _UNITS:.1f}" for x, y in points)


def steps(heights: Sequence[float]) -> str:
    """Return the outline of a histogram whose columns have these heights, as shares."""
    width = 1 / len(heights)
    corners = [(i * width + side, h) for i, h in enumerate(heights) for side in (0.0, width)]
    return curve([(0.0, 0.0), *corners, (1.0, 0.0)]) + "Z"
