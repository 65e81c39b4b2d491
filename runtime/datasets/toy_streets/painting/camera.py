"""A pinhole camera above a road that may bend: where a point of the street lies in the picture.

Points are (x, y, z) in meters: ``x`` to the right of the road's middle, ``y`` above the ground, ``z`` along the road,
from the camera. The road bends as a parabola, and with it everything that stands along it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]
Pixels = NDArray[np.int32]
"""Places in the picture, (N, 2) as x and y, in units of 1 / 2^SHIFT pixel."""

SHIFT = 4
NEAR = 0.7
_LIMIT = 30_000.0  # pixels; beyond it OpenCV's fixed-point numbers overflow


@dataclass(frozen=True)
class View:
    """How a scene is looked at, whatever the picture's size.

    ``x`` and ``height`` of the camera in meters; ``focal`` length and ``horizon`` (from the top) in heights of the
    picture; ``yaw`` and ``roll`` in radians; ``curvature`` of the road in 1 / meter.
    """

    x: float
    height: float
    focal: float
    horizon: float
    yaw: float
    roll: float
    curvature: float

    @classmethod
    def draw(cls, rng: np.random.Generator, lane: float) -> View:
        """Return a camera somewhere around the middle of the lane at ``lane``."""
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
    """Projects a street to a picture of ``size`` (height, width) in pixels."""

    def __init__(self, view: View, size: tuple[int, int]) -> None:
        height, width = size
        self.view, self.size = view, size
        self.focal = view.focal * height
        self.center = (width / 2 + view.yaw * self.focal, view.horizon * height)
        self._cos, self._sin = math.cos(view.roll), math.sin(view.roll)

    def pixel(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return where a point lies in the picture, x and y in pixels; what is nearer than NEAR is put there."""
        z = NEAR if z < NEAR else z
        scale, view = self.focal / z, self.view
        right = (x - view.x + 0.5 * view.curvature * z * z) * scale
        down = (view.height - y) * scale
        u = self.center[0] + right * self._cos - down * self._sin
        v = self.center[1] + right * self._sin + down * self._cos
        if -_LIMIT < u < _LIMIT and -_LIMIT < v < _LIMIT:
            return u, v
        return min(max(u, -_LIMIT), _LIMIT), min(max(v, -_LIMIT), _LIMIT)

    def project(self, points: Iterable[Point]) -> Pixels:
        """Return a few points; plain Python is faster than NumPy here."""
        one, pixel = 1 << SHIFT, self.pixel
        return np.array([(int(one * u), int(one * v)) for u, v in (pixel(*point) for point in points)], np.int32)

    def project_many(self, points: NDArray[np.floating]) -> NDArray[np.int32]:
        """Return points (..., 3) as fixed-point pixels (..., 2)."""
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
        """Return pixels a meter takes at the distance ``z``."""
        return self.focal / max(z, NEAR)

    def ground_rows(self) -> tuple[int, NDArray[np.float32]]:
        """Return the first row that shows ground, and the distance in meters of the ground in each row below."""
        top = min(max(math.ceil(self.center[1] + 1), 0), self.size[0])
        rows = np.arange(top, self.size[0], dtype=np.float32)
        return top, (self.focal * self.view.height / (rows + 0.5 - self.center[1])).astype(np.float32)
