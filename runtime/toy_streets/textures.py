"""Noise to cut textures from, made once."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512


@cache
def grain() -> NDArray[np.int16]:
    """Gaussian noise with standard deviation 16, (SIDE, SIDE, 3)."""
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((SIDE, SIDE, 3))
    return np.asarray((16 * noise).round(), np.int16)


@cache
def speckle() -> NDArray[np.uint8]:
    """Fine noise around 128 that repeats, (SIDE, SIDE): asphalt, plaster, leaves."""
    return _octaves((128, 256, 512), (1.0, 1.0, 0.7))


@cache
def clouds() -> NDArray[np.uint8]:
    """Soft noise around 128 that repeats, (SIDE, SIDE)."""
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


def window(noise: NDArray[np.uint8], size: tuple[int, int], corner: tuple[float, float]) -> NDArray[np.uint8]:
    """A cutout of ``size`` (height, width) that begins at ``corner`` (0 to 1) and goes on around the borders."""
    rows = (np.arange(size[0]) + int(corner[0] * SIDE)) % SIDE
    columns = (np.arange(size[1]) + int(corner[1] * SIDE)) % SIDE
    return noise[rows][:, columns]
