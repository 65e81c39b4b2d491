"""Filling and outlining the regions of a panoptic map, and finding where their names belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing.palette import Color
from pem_edge.runtime.results.segments import Box, Segment

_STRIP_PIXELS = 1 << 18
"""Pixels that are filled at a time, so that what is in between stays in the cache."""
_ROUGH_PIXELS = 1 << 17
"""Pixels of a map that is fine enough for placing names and for comparing frames."""


def fill(
    canvas: NDArray[np.uint8],
    image: NDArray[np.uint8],
    panoptic: NDArray[np.int32],
    colors: Mapping[int, Color],
    opacity: float,
) -> None:
    """Write ``image`` (RGB) onto ``canvas``, with the pixels of each id in ``colors`` blended with its color."""
    table = np.zeros((max(int(panoptic.max()), *colors, 0) + 1, 3), np.uint8)
    colored = np.zeros(len(table), bool)
    for segment_id, color in colors.items():
        table[segment_id], colored[segment_id] = color, True
    for rows in _strips(panoptic.shape):
        ids = panoptic[rows]
        canvas[rows] = cv2.addWeighted(image[rows], 1 - opacity, table[ids], float(opacity), 0)
        bare = ~colored[ids]
        if bare.any():
            canvas[rows][bare] = image[rows][bare]


def outline(canvas: NDArray[np.uint8], panoptic: NDArray[np.int32], segment: Segment, color: Color) -> None:
    """Draw the borders of a segment, holes included, onto ``canvas``, which has the size of ``panoptic``."""
    x, y, width, height = segment.bbox
    inside = np.pad((panoptic[y : y + height, x : x + width] == segment.id).view(np.uint8), 1)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(min(canvas.shape[:2]) / 300))
    cv2.drawContours(canvas, contours, -1, color, thickness, cv2.LINE_AA, offset=(x - 1, y - 1))


@dataclass(frozen=True)
class Part:
    """A connected part of a segment.

    Attributes:
        heart: The pixel (x, y) that is farthest from its border.
        radius: How far that is, in pixels.
        bbox: Its bounding box (x, y, width, height) in pixels.
    """

    heart: tuple[int, int]
    radius: float
    bbox: Box


class RoughMap:
    """A panoptic map of fewer pixels.

    Args:
        panoptic: The map, (H, W).

    Attributes:
        ids: Every ``step``-th pixel of every ``step``-th row.
        step: The distance of these pixels.
    """

    def __init__(self, panoptic: NDArray[np.int32]) -> None:
        self.step = max(1, round((panoptic.size / _ROUGH_PIXELS) ** 0.5))
        self.ids = np.ascontiguousarray(panoptic[:: self.step, :: self.step])

    def largest_part(self, segment: Segment) -> Part:
        """Return the largest connected part of a segment; all of it if it is too small for this map."""
        x, y, width, height = segment.bbox
        left, top = x // self.step, y // self.step
        right, bottom = -(-(x + width) // self.step), -(-(y + height) // self.step)
        inside = np.pad((self.ids[top:bottom, left:right] == segment.id).view(np.uint8), 1)
        _, parts, figures, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
        if len(figures) == 1:
            return Part((x + width // 2, y + height // 2), min(width, height) / 2, segment.bbox)
        largest = 1 + int(figures[1:, cv2.CC_STAT_AREA].argmax())
        distance = cv2.distanceTransform((parts == largest).view(np.uint8), cv2.DIST_L2, 5)
        _, radius, _, (column, row) = cv2.minMaxLoc(distance)
        own_x, own_y, across, down, _ = (self.step * figure for figure in figures[largest].tolist())
        origin = self.step * (left - 1), self.step * (top - 1)  # of the padded mask
        box = (origin[0] + own_x, origin[1] + own_y, across, down)
        return Part((origin[0] + self.step * column, origin[1] + self.step * row), radius * self.step, box)


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, _STRIP_PIXELS // max(shape[1], 1))
    return (slice(top, top + rows) for top in range(0, shape[0], rows))
