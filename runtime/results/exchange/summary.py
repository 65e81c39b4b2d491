"""A result in one line."""

from __future__ import annotations

from collections import Counter

from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.results.exchange.found import Found

_MOST_CLASSES = 3


def summarize(found: Found) -> str:
    """Return the name, size and task of a result, its largest classes with their shares of the image, and its time."""
    height, width = found.panoptic.shape
    areas: Counter[str] = Counter()
    for segment in found.segments:
        areas[segment.label] += segment.area
    shares = [f"{printable(label)} {area / (height * width):.0%}" for label, area in areas.most_common(_MOST_CLASSES)]
    more = ["..."] if len(areas) > _MOST_CLASSES else []
    parts = [
        *([repr(found.name)] if found.name else []),
        f"{height}x{width}",
        found.task,
        f"{plural(len(found.segments), 'segment')}{': ' if shares else ''}{', '.join([*shares, *more])}",
        f"{sum(found.milliseconds.values()):.0f} ms",
    ]
    return f"<Result {', '.join(parts)}>"
