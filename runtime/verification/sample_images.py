"""Images by formula that every check of an artifact runs on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def sample_image(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return an image of shapes, gradients, flat areas and noise: RGB uint8 (H, W, 3).

    The same ``seed`` and size give the same image on every machine.
    """
    random = np.random.Generator(np.random.PCG64([height, width, seed]))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    canvas = np.stack([x / width, y / height, (x + y) / (height + width)], axis=2) * random.uniform(80, 255, 3)
    for inside in _shapes(x, y, random):
        canvas[inside] = random.uniform(0, 255, 3)
    noisy = canvas + random.normal(0, 6, canvas.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def sample_batch(batch: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return ``batch`` different sample images, RGB uint8 (N, H, W, 3); up to 100 images differ from other seeds'."""
    return np.stack([sample_image(height, width, 100 * seed + slot) for slot in range(batch)])


def _shapes(x: NDArray[np.float32], y: NDArray[np.float32], random: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks (H, W) of ellipses and boxes, given the coordinates ``x`` and ``y`` of each pixel, (H, W)."""
    height, width = x.shape
    for _ in range(16):
        cy, cx = random.uniform(0, height), random.uniform(0, width)
        ry, rx = random.uniform(0.02, 0.3, 2) * (height, width)
        ellipse = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        box = (abs(y - cy) < ry) & (abs(x - cx) < rx)
        yield ellipse if random.uniform() < 0.5 else box
