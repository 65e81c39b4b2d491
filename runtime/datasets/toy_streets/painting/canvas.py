"""An image and its panoptic map, painted together: each pixel has the color and the label that were painted last."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import TrueSegment
from pem_edge.runtime.datasets.toy_streets.painting.camera import SHIFT, Pixels

Color = tuple[float, float, float]
"""RGB, 0 to 255."""

VOID = "void"
"""Name of the class of pixels that have no label."""

_SMALLEST = 2048
"""Segments below 1 / _SMALLEST of the image's height squared (32 pixels at 256 rows) become void."""


class Canvas:
    """An image, RGB uint8 (H, W, 3) with anti-aliased edges, and ``ids``, the segment of every pixel, uint16 (H, W)."""

    def __init__(self, size: tuple[int, int], labels: Sequence[Label]) -> None:
        self.image: NDArray[np.uint8] = np.zeros((*size, 3), np.uint8)
        self.ids: NDArray[np.uint16] = np.zeros(size, np.uint16)
        self._classes = {label.name: label for label in labels}
        self._things: list[Label] = []
        self._id = 0

    def begin(self, name: str) -> None:
        """Label everything painted from now on as ``name``: a class, of which a thing gets a new instance, or VOID."""
        if name == VOID:
            self._id = 0
            return
        label = self._classes[name]
        self._id = self.stuff_id(name)
        if label.isthing:
            self._things.append(label)
            self._id = len(self._classes) + len(self._things)

    def stuff_id(self, name: str) -> int:
        """Return the id in ``ids`` of the stuff class ``name``."""
        return self._classes[name].id + 1

    def fill(self, polygons: Sequence[Pixels], color: Color, *, detail: bool = False) -> None:
        """Paint polygons that do not overlap. With ``detail``, only the image changes and ``ids`` stay as they are."""
        cv2.fillPoly(self.image, polygons, color, cv2.LINE_AA, SHIFT)
        if not detail:
            cv2.fillPoly(self.ids, polygons, (self._id,), cv2.LINE_8, SHIFT)

    def disc(self, center: tuple[float, float], radius: float, color: Color, *, detail: bool = False) -> None:
        """Paint a disc whose ``center`` (x, y) and ``radius`` are in pixels."""
        one = 1 << SHIFT
        self.circle((int(center[0] * one), int(center[1] * one)), int(radius * one), color, detail=detail)

    def circle(self, center: Sequence[int], radius: int, color: Color, *, detail: bool = False) -> None:
        """Paint a disc whose ``center`` (x, y) and ``radius`` are in units of 1 / 2^SHIFT pixel."""
        radius = max(radius, 1 << SHIFT >> 1)
        cv2.circle(self.image, center, radius, color, cv2.FILLED, cv2.LINE_AA, SHIFT)
        if not detail:
            cv2.circle(self.ids, center, radius, (self._id,), cv2.FILLED, cv2.LINE_8, SHIFT)

    def lines(self, lines: Sequence[Pixels], color: Color, thickness: int = 1) -> None:
        """Draw open lines of ``thickness`` pixels, which change the image but not ``ids``."""
        cv2.polylines(self.image, lines, False, color, thickness, cv2.LINE_AA, SHIFT)

    def truth(self) -> tuple[NDArray[np.int32], list[TrueSegment]]:
        """Return the panoptic map, int32 (H, W), and its segments. Segments that are too small become void (0)."""
        areas = np.bincount(self.ids.ravel(), minlength=self._count)
        kept = areas >= max(self.ids.shape[0] ** 2 // _SMALLEST, 1)
        kept[0] = False
        stuff = [TrueSegment(label.id + 1, label.id) for label in self._classes.values() if not label.isthing]
        first = len(self._classes) + 1
        things = [TrueSegment(first + i, label.id) for i, label in enumerate(self._things)]
        ids = np.where(kept, np.arange(len(kept)), 0).astype(np.int32)
        return ids[self.ids], [segment for segment in [*stuff, *things] if kept[segment.id]]

    @property
    def _count(self) -> int:
        return len(self._classes) + len(self._things) + 1
