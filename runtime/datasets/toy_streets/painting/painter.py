"""A painter that takes coordinates in meters and draws them on a canvas in perspective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.painting.camera import SHIFT, Camera, Pixels, Point
from pem_edge.runtime.datasets.toy_streets.painting.canvas import Canvas, Color
from pem_edge.runtime.datasets.toy_streets.painting.light import Light

Glow = tuple[float, float, float, Color]
"""A lamp's x, y and radius in pixels, and its color."""


class Painter:
    """Paints shapes given in meters on a canvas, as a camera sees them under a light.

    ``sunlight`` is how directly the sun shines on a surface, 0 to 1 (`Light.sunlight`). Haze depends on the distance of
    a shape's first point. Shapes painted with ``detail`` keep the label of what lies below them.
    """

    def __init__(self, canvas: Canvas, camera: Camera, light: Light) -> None:
        self.canvas, self.camera, self.light = canvas, camera, light
        self.begin = canvas.begin
        self.glows: list[Glow] = []

    def polygon(self, points: Sequence[Point], color: Color, sunlight: float = 0.5, *, detail: bool = False) -> None:
        """Paint one polygon."""
        self.pixels([self.camera.project_points(points)], points[0][2], color, sunlight, detail=detail)

    def polygons(
        self, points: NDArray[np.floating], color: Color, sunlight: float = 0.5, *, detail: bool = True
    ) -> None:
        """Paint M polygons of N points (M, N, 3), which have one color and do not overlap."""
        if len(points):
            pixels = list(self.camera.project_array(points))
            self.pixels(pixels, float(points[0, 0, 2]), color, sunlight, detail=detail)

    def pixels(self, polygons: list[Pixels], z: float, color: Color, sunlight: float, *, detail: bool = False) -> None:
        """Paint polygons that are already projected to pixels, with the haze of the distance ``z``."""
        self.canvas.fill(polygons, self.light.shade(color, sunlight, z), detail=detail)

    def disc(self, center: Point, radius: float, color: Color, sunlight: float = 0.5, *, detail: bool = False) -> None:
        """Paint a disc of ``radius`` meters."""
        shaded = self.light.shade(color, sunlight, center[2])
        scale = self.camera.scale(center[2])
        self.canvas.disc(self.camera.project_point(*center), radius * scale, shaded, detail=detail)

    def balls(
        self,
        centers: NDArray[np.floating],
        radii: NDArray[np.floating],
        color: Color,
        sunlights: NDArray[np.floating],
    ) -> None:
        """Paint M discs at one distance.

        Args:
            centers: The points (M, 3) in meters.
            radii: The radii (M,) in meters.
            color: The color of all discs.
            sunlights: The sunlight of each disc (M,), 0 to 1.
        """
        z = float(centers[0, 2])
        scaled = (radii * (self.camera.scale(z) * (1 << SHIFT))).astype(int).tolist()
        for center, radius, sunlight in zip(
            self.camera.project_array(centers).tolist(), scaled, sunlights.tolist(), strict=True
        ):
            self.canvas.circle(center, radius, self.light.shade(color, sunlight, z))

    def lines(self, lines: NDArray[np.floating], color: Color, sunlight: float = 0.5, width: float = 0) -> None:
        """Draw M open lines of N points (M, N, 3) as details, ``width`` meters wide at the first line's distance."""
        if len(lines):
            z = float(lines[0, 0, 2])
            thickness = max(1, round(width * self.camera.scale(z)))
            self.canvas.lines(list(self.camera.project_array(lines)), self.light.shade(color, sunlight, z), thickness)

    def glow(self, center: Point, radius: float, color: Color) -> None:
        """Add a halo of ``radius`` meters around a lamp, if lamps are lit."""
        if self.light.lamps:
            scale = self.camera.scale(center[2])
            self.glows.append((*self.camera.project_point(*center), radius * scale, color))


def box(x: float, y: float, z: float, width: float, height: float) -> list[Point]:
    """Return an upright rectangle that faces the camera, centered on ``x``, with its lower edge at ``y``."""
    left, right = x - width / 2, x + width / 2
    return [(left, y, z), (right, y, z), (right, y + height, z), (left, y + height, z)]
