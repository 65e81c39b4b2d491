"""A color for every class, and for every segment of a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.drawing import palette
from pem_edge.runtime.results.drawing.palette import Color
from pem_edge.runtime.results.segments import Segment

DARK, LIGHT = (16, 18, 22), (255, 255, 255)


def of_classes(labels: Sequence[Label]) -> tuple[Color, ...]:
    """Return the color in which each class is drawn: its label's, or one near it if another class has nearly that."""
    return palette.distinct(tuple(label.color for label in labels))


def of_segments(
    segments: Sequence[Segment], labels: Sequence[Label], numbers: Mapping[int, int] | None = None
) -> dict[int, Color]:
    """Return a color for each segment's id: stuff takes its class's, things take shades of it.

    Args:
        segments: The segments.
        labels: The classes.
        numbers: The number of each thing within its class, by its id, from which its shade follows; None to count them.
    """
    classes = of_classes(labels)
    numbers = ranks(segments) if numbers is None else numbers
    return {segment.id: _color(segment, classes, numbers) for segment in segments}


def ranks(segments: Sequence[Segment]) -> dict[int, int]:
    """Return the number of each thing among those of its class, from 0, by its id."""
    seen: Counter[int] = Counter()
    numbers = {}
    for segment in segments:
        if segment.isthing:
            numbers[segment.id] = seen[segment.category_id]
            seen[segment.category_id] += 1
    return numbers


def _color(segment: Segment, classes: tuple[Color, ...], numbers: Mapping[int, int]) -> Color:
    if not segment.isthing:
        return classes[segment.category_id]
    shades = palette.shades(classes, segment.category_id)
    return shades[numbers[segment.id] % len(shades)]


def mix(color: Color, other: Color, share: float) -> Color:
    """Return ``color`` moved towards ``other`` by ``share``, 0 to 1."""
    red, green, blue = np.rint((1 - share) * np.array(color) + share * np.array(other)).astype(int).tolist()
    return red, green, blue


def readable_on(color: Color) -> Color:
    """Return dark or light, whichever stands out from ``color`` by its luma (Rec. 601)."""
    return DARK if np.dot(color, (0.299, 0.587, 0.114)) > 140 else LIGHT
