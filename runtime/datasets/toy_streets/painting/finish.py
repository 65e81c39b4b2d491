"""The last step of a painted scene: surface grain, halos, rain, and the effects of lens and sensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.painting import textures
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

_ROUGH = {"vegetation": 0.5, "terrain": 0.28, "building": 0.1, "fence": 0.14, "sidewalk": 0.06, "road": 0.05}
"""Strength of the grain by class, as a fraction of the noise texture's contrast."""


def finish(painter: Painter, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image as the camera records it, RGB uint8 (H, W, 3)."""
    image = _grain(painter, rng)
    image = _glows(painter, image)
    if painter.light.weather == "rain":
        image = _rain(painter, rng, image)
    return _sensor(_lens(image, rng), rng)


def _grain(painter: Painter, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the canvas's image with grain on rough surfaces."""
    canvas = painter.canvas
    strengths = np.zeros(256, np.float32)
    for name, strength in _ROUGH.items():
        strengths[canvas.stuff_id(name)] = strength
    table = np.clip(128 + strengths[:, None] * (np.arange(256, dtype=np.float32) - 128), 0, 255).astype(np.uint8)
    noise = textures.cut_window(textures.speckle, canvas.ids.shape, (rng.random(), rng.random()))
    kind = np.minimum(canvas.ids, 255) << 8
    factor = table.ravel()[kind | noise]
    return np.asarray(cv2.multiply(canvas.image, cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB), scale=1 / 128), np.uint8)


def _glows(painter: Painter, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with the halos of lit lamps added."""
    if not painter.glows:
        return image
    height, width = image.shape[:2]
    layer = np.zeros((height // 4 + 1, width // 4 + 1, 3), np.uint8)
    for x, y, radius, color in painter.glows:
        center = int(np.clip(x, -1e4, 1e4) * 4), int(np.clip(y, -1e4, 1e4) * 4)
        cv2.circle(layer, center, max(int(radius * 4 / 2), 8), color, cv2.FILLED, cv2.LINE_AA, 4)
    layer = cv2.GaussianBlur(layer, (0, 0), max(height / 120, 0.5))
    return np.asarray(cv2.add(image, cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR)), np.uint8)


def _rain(painter: Painter, rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with reflections on the wet road and streaks of rain."""
    height, width = image.shape[:2]
    horizon = int(painter.camera.center[1])
    rows = min(height - horizon, horizon)
    if rows > 0:
        mirrored = cv2.blur(image[horizon - rows : horizon][::-1], (3, max(height // 24, 1) | 1))
        ids = painter.canvas.ids[horizon : horizon + rows]
        fading = np.linspace(90, 0, rows).astype(np.uint8)[:, None]
        wet = (ids == painter.canvas.stuff_id("road")) * fading
        wet3 = cv2.cvtColor(wet, cv2.COLOR_GRAY2RGB)
        part = image[horizon : horizon + rows]
        part[:] = cv2.add(cv2.multiply(part, 255 - wet3, scale=1 / 255), cv2.multiply(mirrored, wet3, scale=1 / 255))
    streaks = np.zeros((height, width), np.uint8)
    starts = rng.random((120, 2)) * (width / height, 1)
    fall = np.array([rng.uniform(-0.01, 0.01), 1]) * rng.uniform(0.02, 0.06, (120, 1))
    lines = (np.stack([starts, starts + fall], axis=1) * height * 16).astype(np.int32)
    cv2.polylines(streaks, list(lines), False, 40, max(1, height // 400), cv2.LINE_AA, 4)
    return np.asarray(cv2.add(image, cv2.cvtColor(streaks, cv2.COLOR_GRAY2RGB)), np.uint8)


def _lens(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image blurred, with its chroma at half the resolution, as in JPEG."""
    height, width = image.shape[:2]
    sigma = rng.uniform(0.0, 0.8) * height / 256
    if sigma > 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    ycc = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    coarse = cv2.resize(ycc, (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    smooth[..., 0] = ycc[..., 0]
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_YCrCb2RGB), np.uint8)


def _sensor(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image with random exposure, contrast, white balance and sensor noise."""
    gain = rng.uniform(0.8, 1.2) * rng.uniform(0.95, 1.05, 3)
    gamma = rng.uniform(0.85, 1.2)
    levels = 255 * (np.arange(256)[:, None] / 255 * gain).clip(0, 1) ** gamma
    image = np.asarray(cv2.LUT(image, levels.round().astype(np.uint8)[None]), np.uint8)
    noise = textures.cut_window(textures.grain, image.shape[:2], (rng.random(), rng.random()))
    strength = rng.uniform(0.02, 0.18)
    return np.asarray(cv2.addWeighted(image, 1, noise, strength, -128 * strength), np.uint8)
