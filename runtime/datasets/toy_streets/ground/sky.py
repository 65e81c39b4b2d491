"""The sky, with clouds and the sun, and what closes the view at the end of the street."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.ground.street import FAR
from pem_edge.runtime.datasets.toy_streets.painting import textures
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter


def draw(painter: Painter, rng: np.random.Generator) -> None:
    """Paint the sky over the whole canvas."""
    canvas, light, camera = painter.canvas, painter.light, painter.camera
    height = camera.size[0]
    ramp = (np.arange(height, dtype=np.float32) / max(camera.center[1], 1)).clip(0, 1)[:, None] ** 1.3
    gradient = (1 - ramp) * np.array(light.zenith) + ramp * np.array(light.haze)
    canvas.image[:] = gradient[:, None].clip(0, 255).astype(np.uint8)
    canvas.ids[:] = canvas.stuff_id("sky")
    corner, zoom = rng.random(2), rng.uniform(0.6, 1.4)
    rows = min(max(int(camera.center[1]), 0) + 8, height)
    _clouds(canvas.image[:rows], corner, zoom * 256 / height, light.clouds, light.weather == "dusk")
    _sun(painter)
    if light.weather != "fog":
        _skyline(painter, rng)


def _clouds(image: NDArray[np.uint8], corner: NDArray[np.float64], step: float, amount: float, dark: bool) -> None:
    """Blend clouds in; ``step`` texture pixels a pixel, twice as many downwards: clouds are flat."""
    rows, columns = image.shape[:2]
    map_x = ((corner[0] * textures.SIDE + np.arange(columns) * step) % (textures.SIDE - 1)).astype(np.int32)
    map_y = ((corner[1] * textures.SIDE + np.arange(rows) * step * 2.2) % (textures.SIDE - 1)).astype(np.int32)
    levels = np.arange(256)
    cover = ((levels - 205 + 110 * amount) / 80).clip(0, 0.85 if amount > 0 else 0)
    cloud = (255 * cover).astype(np.uint8)[textures.clouds()[map_y][:, map_x]]
    cloud = cv2.cvtColor(cv2.GaussianBlur(cloud, (3, 3), 0), cv2.COLOR_GRAY2RGB)
    color = np.array((120, 100, 115) if dark else (244, 245, 248))
    white = cv2.LUT(cloud, (levels[:, None] * color / 255).astype(np.uint8)[None])
    image[:] = cv2.add(cv2.multiply(image, 255 - cloud, scale=1 / 255), white)


def _sun(painter: Painter) -> None:
    light = painter.light
    if light.weather in ("clear", "dusk") and light.sun[2] > 0.2:
        far = 1000 / light.sun[2]
        place = painter.camera.project_point(light.sun[0] * far * 0.8, light.sun[1] * far * 0.35, 1000)
        height = painter.camera.size[0]
        painter.canvas.disc(place, height * 0.02, (255, 250, 225), detail=True)
        painter.glows.append((*place, height * 0.1, (190, 170, 120)))


def _skyline(painter: Painter, rng: np.random.Generator) -> None:
    """Paint hills, woods or roofs far away."""
    kind = rng.integers(0, 3)
    x = np.linspace(-400, 400, 60)
    heights = rng.uniform(1, 9, 60) if kind else np.convolve(rng.uniform(2, 22, 64), np.ones(5) / 5, "valid")
    if kind == 2:
        painter.begin("building")
        x, heights = np.repeat(x, 2)[1:], np.repeat(heights * 1.6 + 3, 2)[:-1]
        color = (128.0, 122.0, 120.0)
    else:
        painter.begin("vegetation")
        color = (72.0, 92.0, 58.0)
    ridge = np.stack([x, heights, np.full_like(x, FAR + 60)], axis=1)
    ends = np.array([(400, -1, FAR + 60), (-400, -1, FAR + 60)])
    painter.polygons(np.concatenate([ridge, ends])[None], color, 0.5, detail=False)
