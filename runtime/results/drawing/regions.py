"""Filling and outlining the regions of a panoptic map."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing.colors import Color
from pem_edge.runtime.results.segments import Segment


def fill(
    image: NDArray[np.uint8], panoptic: NDArray[np.int32], colors: Mapping[int, Color], opacity: float
) -> NDArray[np.uint8]:
    """Return a copy of ``image`` (RGB) with the pixels of each id in ``colors`` blended with its color."""
    table = np.zeros((max(int(panoptic.max()), *colors, 0) + 1, 3), np.uint8)
    for segment_id, color in colors.items():
        table[segment_id] = color
    blended = cv2.addWeighted(image, 1 - opacity, table[panoptic], opacity, 0)
    colored = np.isin(np.arange(len(table)), list(colors))[panoptic]
    return np.where(colored[..., None], blended, image).astype(np.uint8, copy=False)


def outline(canvas: NDArray[np.uint8], panoptic: NDArray[np.int32], segment: Segment, color: Color) -> None:
    """Draw the borders of a segment, holes included, onto ``canvas``."""
    contours, _ = cv2.findContours(_silhouette(panoptic, segment), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = (segment.bbox[0] - 1, segment.bbox[1] - 1)
    width = max(1, round(min(canvas.shape[:2]) / 300))
    cv2.drawContours(canvas, contours, -1, color, width, cv2.LINE_AA, offset=offset)


def heart(panoptic: NDArray[np.int32], segment: Segment) -> tuple[int, int, float]:
    """Return the pixel (x, y) of a segment that is farthest from its border, and how far."""
    distance = cv2.distanceTransform(_silhouette(panoptic, segment), cv2.DIST_L2, 5)
    _, radius, _, (x, y) = cv2.minMaxLoc(distance)
    return segment.bbox[0] + x - 1, segment.bbox[1] + y - 1, radius


def _silhouette(panoptic: NDArray[np.int32], segment: Segment) -> NDArray[np.uint8]:
    """Return 1 where the segment is, within its bbox and one pixel around it."""
    x, y, width, height = segment.bbox
    inside = panoptic[y : y + height, x : x + width] == segment.id
    return np.pad(inside.view(np.uint8), 1)
