"""Shadows on the ground."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.ground.ground import strip
from pem_edge.runtime.datasets.toy_streets.ground.street import Street
from pem_edge.runtime.datasets.toy_streets.painting.camera import SHIFT
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

Shadow = tuple[float, float, float, float]
"""x, z, half width and half length in meters of what casts it."""


def draw(painter: Painter, street: Street, casters: Sequence[Shadow]) -> None:
    """Paint soft shadows under what stands on the ground, and the shade of the houses that hide the sun."""
    height, width = painter.camera.size
    mask = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)  # at half the picture's size
    _houses(painter, street, mask)
    _footprints(painter, casters, mask)
    soft = cv2.GaussianBlur(mask, (0, 0), max(height / 160, 0.5))
    dark = cv2.resize(255 - (soft * (0.45 + 0.3 * painter.light.direct)).astype(np.uint8), (width, height))
    image = painter.canvas.image
    cv2.multiply(image, cv2.cvtColor(dark, cv2.COLOR_GRAY2RGB), dst=image, scale=1 / 255)


def _houses(painter: Painter, street: Street, mask: NDArray[np.uint8]) -> None:
    """Paint the shade of a row of houses on the side of the sun, if it shines."""
    sun = painter.light.sun
    if painter.light.direct > 0.3 and street.lining[sun[0] > 0] == "town":
        side, reach = (1 if sun[0] > 0 else -1), 9 * abs(sun[0]) / sun[1]
        shade = strip(side * (street.front(side) + 1), side * (street.front(side) - reach))
        cv2.fillPoly(mask, [painter.camera.project_array(shade) // 2], (170,), cv2.LINE_8, SHIFT)


def _footprints(painter: Painter, casters: Sequence[Shadow], mask: NDArray[np.uint8]) -> None:
    """Paint what is under things, moved a little away from the sun."""
    sun, direct = painter.light.sun, painter.light.direct
    x, z, half_width, half_length = np.array(casters, np.float64).reshape(-1, 4, 1).swapaxes(0, 1)
    right = x - sun[0] * direct + half_width * (-1, 1, 1, -1)
    ahead = z - sun[2] * direct * 0.5 + half_length * (-1, -1, 1, 1)
    for polygon in painter.camera.project_array(np.stack([right, 0 * right, ahead], axis=-1)):
        cv2.fillConvexPoly(mask, polygon // 2, (255,), cv2.LINE_8, SHIFT)
