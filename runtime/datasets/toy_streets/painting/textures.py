"""Noise textures, each computed once per process and then cut to size."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512
"""Height and width of a texture in pixels."""


@cache
def grain() -> NDArray[np.uint8]:
    """Return Gaussian noise with mean 128 and standard deviation 40, uint8 (SIDE, SIDE, 3)."""
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((SIDE, SIDE, 3))
    return np.asarray((128 + 40 * noise).round().clip(0, 255), np.uint8)


@cache
def speckle() -> NDArray[np.uint8]:
    """Return fine, seamlessly repeating noise around 128, uint8 (SIDE, SIDE), for asphalt, plaster and leaves."""
    return _octaves((128, 256, 512), (1.0, 1.0, 0.7))


@cache
def clouds() -> NDArray[np.uint8]:
    """Return soft, seamlessly repeating noise around 128, uint8 (SIDE, SIDE)."""
    return _octaves((4, 8, 16, 32, 64, 128), (1.0, 0.7, 0.5, 0.35, 0.25, 0.15))


def _octaves(cells: tuple[int, ...], weights: tuple[float, ...]) -> NDArray[np.uint8]:
    rng = np.random.Generator(np.random.PCG64(cells[0]))
    total = np.zeros((SIDE, SIDE), np.float32)
    for count, weight in zip(cells, weights, strict=True):
        grid = np.pad(rng.standard_normal((count, count)).astype(np.float32), 2, mode="wrap")
        step = SIDE // count
        wide = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += weight * wide[2 * step : 2 * step + SIDE, 2 * step : 2 * step + SIDE]
    return np.asarray((128 + 45 * total / total.std()).round().clip(0, 255), np.uint8)


def cut_window(
    texture: Callable[[], NDArray[np.uint8]], size: tuple[int, int], corner: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return a window of a texture.

    Args:
        texture: Returns the texture, (SIDE, SIDE) or (SIDE, SIDE, channels).
        size: The window's (height, width), which may exceed the texture's: it is repeated.
        corner: The window's top and left, as fractions of SIDE (0 to 1).
    """
    (height, width), top, left = size, int(corner[0] * SIDE), int(corner[1] * SIDE)
    whole = _repeat(texture, height // SIDE + 2, width // SIDE + 2)
    return whole[top : top + height, left : left + width]


@lru_cache(maxsize=4)
def _repeat(texture: Callable[[], NDArray[np.uint8]], down: int, across: int) -> NDArray[np.uint8]:
    noise = texture()
    return np.tile(noise, (down, across, 1)[: noise.ndim])
