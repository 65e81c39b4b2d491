"""Paints in meters: what the parts of a scene are drawn with."""

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
    """A canvas seen through a camera, under a light.

    ``facing`` tells how much a surface turns to the sun (`Light.facing`); its distance is that of its first point.
    """

    def __init__(self, canvas: Canvas, camera: Camera, light: Light) -> None:
        self.canvas, self.camera, self.light = canvas, camera, light
        self.begin = canvas.begin
        self.glows: list[Glow] = []

    def polygon(self, points: Sequence[Point], color: Color, facing: float = 0.5, *, detail: bool = False) -> None:
        """Paint one polygon of a few points."""
        self.pixels([self.camera.project(points)], points[0][2], color, facing, detail=detail)

    def polygons(self, points: NDArray[np.floating], color: Color, facing: float = 0.5, *, detail: bool = True) -> None:
        """Paint polygons (M, N, 3) of one color that do not overlap."""
        if len(points):
            pixels = list(self.camera.project_many(points))
            self.pixels(pixels, float(points[0, 0, 2]), color, facing, detail=detail)

    def pixels(self, polygons: list[Pixels], z: float, color: Color, facing: float, *, detail: bool = False) -> None:
        """Paint polygons that have been projected already, at the distance ``z``."""
        self.canvas.fill(polygons, self.light.shade(color, facing, z), detail=detail)

    def disc(self, center: Point, radius: float, color: Color, facing: float = 0.5, *, detail: bool = False) -> None:
        """Paint a disc, or a ball, of ``radius`` meters."""
        shaded = self.light.shade(color, facing, center[2])
        scale = self.camera.scale(center[2])
        self.canvas.disc(self.camera.pixel(*center), radius * scale, shaded, detail=detail)

    def balls(
        self,
        centers: NDArray[np.floating],
        radii: NDArray[np.floating],
        color: Color,
        facings: NDArray[np.floating],
    ) -> None:
        """Paint discs at one distance, each lit in its own way: ``centers`` (M, 3) in meters, the others (M,)."""
        z = float(centers[0, 2])
        scaled = (radii * (self.camera.scale(z) * (1 << SHIFT))).astype(int).tolist()
        for center, radius, facing in zip(
            self.camera.project_many(centers).tolist(), scaled, facings.tolist(), strict=True
        ):
            self.canvas.circle(center, radius, self.light.shade(color, facing, z))

    def lines(self, lines: NDArray[np.floating], color: Color, facing: float = 0.5, width: float = 0) -> None:
        """Open lines (M, N, 3) as details; ``width`` in meters where they begin."""
        if len(lines):
            z = float(lines[0, 0, 2])
            thickness = max(1, round(width * self.camera.scale(z)))
            self.canvas.lines(list(self.camera.project_many(lines)), self.light.shade(color, facing, z), thickness)

    def glow(self, center: Point, radius: float, color: Color) -> None:
        """Paint a lamp that shines once it is dark; ``radius`` of its halo in meters."""
        if self.light.lamps:
            scale = self.camera.scale(center[2])
            self.glows.append((*self.camera.pixel(*center), radius * scale, color))


def box(x: float, y: float, z: float, width: float, height: float) -> list[Point]:
    """Return an upright rectangle that faces the camera, around ``x``, from ``y`` up."""
    left, right = x - width / 2, x + width / 2
    return [(left, y, z), (right, y, z), (right, y + height, z), (left, y + height, z)]
