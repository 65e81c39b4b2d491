"""A pinhole camera above a road that may bend, which projects points of the street to pixels of the image.

Points are (x, y, z) in meters: ``x`` to the right of the road's middle, ``y`` above the ground, ``z`` along the road,
from the camera. The road bends as a parabola, and everything along it bends with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]
Pixels = NDArray[np.int32]
"""Points of the image as fixed-point numbers: (N, 2), x and y in units of 1 / 2^SHIFT pixel."""

SHIFT = 4
"""Number of fractional bits in the fixed-point coordinates that OpenCV draws with."""

NEAR = 0.7
"""Minimum distance from the camera in meters; nearer points are projected as if they were this far away."""

_LIMIT = 30_000.0  # pixels; beyond it OpenCV's fixed-point numbers overflow


@dataclass(frozen=True)
class View:
    """The position and orientation of a camera and the bend of its road, independent of the image's size.

    Attributes:
        x: The camera's distance to the right of the road's middle, in meters.
        height: The camera's height above the ground, in meters.
        focal: The focal length, as a multiple of the image's height.
        horizon: The distance of the horizon from the top, as a fraction of the image's height.
        yaw: The rotation around the vertical axis, in radians.
        roll: The rotation around the viewing direction, in radians.
        curvature: The curvature of the road, in 1 / meter.
    """

    x: float
    height: float
    focal: float
    horizon: float
    yaw: float
    roll: float
    curvature: float

    @classmethod
    def random(cls, rng: np.random.Generator, lane: float) -> View:
        """Return a random view from near the middle of a lane, which is ``lane`` meters right of the road's middle."""
        return cls(
            x=lane + rng.uniform(-0.6, 0.6),
            height=rng.uniform(1.2, 2.4),
            focal=rng.uniform(0.95, 1.4),
            horizon=rng.uniform(0.36, 0.52),
            yaw=rng.normal(0, 0.05),
            roll=rng.normal(0, 0.008),
            curvature=rng.normal(0, 0.0022) * rng.integers(0, 2),
        )


class Camera:
    """Projects points of a street to an image of ``size`` (height, width) in pixels."""

    def __init__(self, view: View, size: tuple[int, int]) -> None:
        height, width = size
        self.view, self.size = view, size
        self.focal = view.focal * height
        self.center = (width / 2 + view.yaw * self.focal, view.horizon * height)
        self._cos, self._sin = math.cos(view.roll), math.sin(view.roll)

    def project_point(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return the image coordinates (x, y) of a point, in pixels. A point nearer than NEAR is moved to NEAR."""
        z = NEAR if z < NEAR else z
        scale, view = self.focal / z, self.view
        right = (x - view.x + 0.5 * view.curvature * z * z) * scale
        down = (view.height - y) * scale
        u = self.center[0] + right * self._cos - down * self._sin
        v = self.center[1] + right * self._sin + down * self._cos
        if -_LIMIT < u < _LIMIT and -_LIMIT < v < _LIMIT:
            return u, v
        return min(max(u, -_LIMIT), _LIMIT), min(max(v, -_LIMIT), _LIMIT)

    def project_points(self, points: Iterable[Point]) -> Pixels:
        """Return the image coordinates of a few points, in fixed point.

        This does what `project_array` does, and is faster for the few corners of one polygon.
        """
        one, project = 1 << SHIFT, self.project_point
        return np.array([(int(one * u), int(one * v)) for u, v in (project(*point) for point in points)], np.int32)

    def project_array(self, points: NDArray[np.floating]) -> NDArray[np.int32]:
        """Return the image coordinates (..., 2) of points (..., 3), in fixed point."""
        x, y, z = points[..., 0], points[..., 1], np.maximum(points[..., 2], NEAR)
        scale, view = self.focal / z, self.view
        right = (x - view.x + 0.5 * view.curvature * z * z) * scale
        down = (view.height - y) * scale
        pixels = np.empty((*right.shape, 2))
        pixels[..., 0] = self.center[0] + right * self._cos - down * self._sin
        pixels[..., 1] = self.center[1] + right * self._sin + down * self._cos
        np.maximum(pixels, -_LIMIT, out=pixels)
        np.minimum(pixels, _LIMIT, out=pixels)
        pixels *= 1 << SHIFT
        return pixels.astype(np.int32)

    def scale(self, z: float) -> float:
        """Return the number of pixels per meter at the distance ``z``."""
        return self.focal / max(z, NEAR)

    def ground_rows(self) -> tuple[int, NDArray[np.float32]]:
        """Return the first row that shows ground, and the distance in meters of the ground in each row below."""
        top = min(max(math.ceil(self.center[1] + 1), 0), self.size[0])
        rows = np.arange(top, self.size[0], dtype=np.float32)
        return top, (self.focal * self.view.height / (rows + 0.5 - self.center[1])).astype(np.float32)
