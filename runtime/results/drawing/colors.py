"""A color for every segment of a picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.segments import Segment

Color = tuple[int, int, int]
"""RGB, 0 to 255."""
DARK, LIGHT = (16, 18, 22), (255, 255, 255)


def of_segments(segments: Sequence[Segment], labels: Sequence[Label]) -> dict[int, Color]:
    """Return a color for each segment's id: stuff takes its class's, things take shades of it."""
    seen: dict[int, int] = {}
    colors = {}
    for segment in segments:
        color = labels[segment.category_id].color
        rank = seen[segment.category_id] = seen.get(segment.category_id, -1) + 1
        colors[segment.id] = _shade(color, rank) if segment.isthing else color
    return colors


def _shade(color: Color, rank: int) -> Color:
    """Return a color whose hue is near that of ``color``; the lightness of ranks is spread by the golden ratio."""
    hue, _, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in color))
    turn = (0.5 + rank * 0.618033988749895) % 1.0
    shade = colorsys.hls_to_rgb((hue + 0.12 * (turn - 0.5)) % 1.0, 0.35 + 0.35 * turn, max(saturation, 0.5))
    return _color(255 * np.array(shade))


def lighter(color: Color, share: float) -> Color:
    """Return ``color`` moved towards white by ``share``, 0 to 1."""
    return _color((1 - share) * np.array(color) + share * np.array(LIGHT))


def readable_on(color: Color) -> Color:
    """Return dark or light, whichever stands out from ``color`` by its luma (Rec. 601)."""
    return DARK if np.dot(color, (0.299, 0.587, 0.114)) > 140 else LIGHT


def _color(channels: NDArray[np.floating]) -> Color:
    red, green, blue = np.rint(channels).astype(int).tolist()
    return red, green, blue
