"""Road, pavements and grass, with markings, textures and shadows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.toy_streets import textures
from runtime.toy_streets.camera import SHIFT
from runtime.toy_streets.canvas import Color
from runtime.toy_streets.painter import Painter
from runtime.toy_streets.street import FAR, SIDES, Street

_DISTANCES = np.concatenate([[0.7], np.geomspace(2, FAR, 17)])
Shadow = tuple[float, float, float, float]
"""x, z, half width and half length in metres of what casts it."""

_PAINT: Color = (225, 225, 215)


def strip(left: float, right: float, start: float = 0.7, end: float = FAR) -> NDArray[np.float64]:
    """What lies between two distances from the road's middle, along the road, as a polygon (N, 3)."""
    z = np.concatenate([[start], [z for z in _DISTANCES if start < z < end], [end]])
    x = np.repeat([left, right], len(z))
    return np.stack([x, np.zeros_like(x), np.concatenate([z, z[::-1]])], axis=1)


def draw(painter: Painter, rng: np.random.Generator, street: Street) -> None:
    """Everything flat."""
    up = painter.light.facing(0, 1, 0)
    grass = rng.uniform(-15, 15)
    painter.begin("terrain")
    meadow: Color = (96 + grass, 122 + grass, 62 + grass / 2)
    plain = np.array([[(-60, 0, 0.7), (60, 0, 0.7), (900, 0, 400), (-900, 0, 400)]])
    painter.polygons(plain, meadow, up, detail=False)
    painter.begin("sidewalk")
    level, warm = rng.uniform(135, 175), rng.uniform(-4, 12)
    stone: Color = (level + warm, level, level - warm)
    for side in SIDES:
        end = street.front(side) if street.lining[side > 0] == "town" else street.pavement
        painter.polygons(strip(side * street.kerb, side * (end + 0.5))[None], stone, up, detail=False)
    painter.begin("road")
    level = rng.uniform(72, 118)
    asphalt: Color = (level, level, level + rng.uniform(-2, 6))
    painter.polygons(strip(-street.kerb, street.kerb)[None], asphalt, up, detail=False)
    _joints(painter, street, stone, up)
    if street.crossing:
        start, end = street.crossing
        across = np.array([[(-90, 0, start), (90, 0, start), (90, 0, end), (-90, 0, end)]], np.float64)
        painter.polygons(across, asphalt, up, detail=False)
    _wear(painter, rng, street, level, up)
    _texture(painter, rng)
    _markings(painter, rng, street, up)


def _joints(painter: Painter, street: Street, stone: Color, up: float) -> None:
    """Kerb stones and joints between slabs."""
    dark: Color = (stone[0] * 0.78, stone[1] * 0.78, stone[2] * 0.78)
    bright: Color = (stone[0] * 1.15, stone[1] * 1.15, stone[2] * 1.15)
    z = np.arange(2.0, 34.0, 1.6)
    for side in SIDES:
        ends = np.array([(side * street.kerb, 0, 0), (side * street.pavement, 0, 0)])
        lines = np.repeat(ends[None], len(z), axis=0)
        lines[..., 2] = z[:, None]
        painter.lines(lines, dark, up)
        painter.polygons(strip(side * street.kerb, side * (street.kerb + 0.22))[None], bright, up)


def _wear(painter: Painter, rng: np.random.Generator, street: Street, level: float, up: float) -> None:
    """Mended patches, wheel tracks, and drains."""
    track: Color = (level * 0.93, level * 0.93, level * 0.94)
    for number in (*range(-street.lanes, 0), *range(1, street.lanes + 1)):
        for offset in (-0.8, 0.8):
            x = street.lane(number) + offset
            painter.polygons(strip(x - 0.25, x + 0.25)[None], track, up)
    for _ in range(int(rng.integers(0, 6))):
        x, z, width, length = rng.uniform(-street.kerb, street.kerb - 1), rng.uniform(3, 40), *rng.uniform(0.5, 3, 2)
        shade = level * rng.uniform(0.7, 1.1)
        right = min(x + width, street.kerb)
        painter.polygons(strip(x, right, z, z + 2 * length)[None], (shade, shade, shade), up)


def _texture(painter: Painter, rng: np.random.Generator) -> None:
    """Grain that gets finer with the distance, and haze."""
    camera = painter.camera
    top, distance = camera.ground_rows()
    row = (distance * 30 + rng.uniform(0, 3000)).astype(np.int32) % textures.SIDE
    across = (np.arange(camera.size[1]) - camera.center[0]) / camera.focal
    column = (across * distance[:, None] * 60 + rng.uniform(0, 3000)).astype(np.int32) % textures.SIDE
    if not len(distance):  # too few rows to show any ground
        return
    noise = textures.speckle().ravel()[row[:, None] * textures.SIDE + column]
    clear = np.exp(-distance / painter.light.visibility)[:, None]
    strength = 0.16 / (1 + distance[:, None] / 15)
    factor = (clear * (128 + 2 * strength * (noise.astype(np.float32) - 128))).astype(np.uint8)
    ground = painter.canvas.image[top:]
    haze = np.broadcast_to(((1 - clear) * painter.light.haze)[:, None], ground.shape).astype(np.uint8)
    ground[:] = cv2.add(cv2.multiply(ground, cv2.cvtColor(factor, cv2.COLOR_GRAY2RGB), scale=1 / 128), haze)


def _markings(painter: Painter, rng: np.random.Generator, street: Street, up: float) -> None:
    """Lines between the lanes and along the edges, and zebra crossings."""
    width = rng.uniform(0.06, 0.1)
    faded = rng.uniform(0.6, 1)
    paint: Color = (_PAINT[0] * faded, _PAINT[1] * faded, _PAINT[2] * faded)
    period = rng.uniform(5, 9)
    dashes = [(max(z, 0.7), z + 0.45 * period) for z in np.arange(rng.uniform(0, period) - 2, 70, period)]
    dashed = [0.0] if street.lanes == 1 else [-street.lane_width, street.lane_width]
    lines = [strip(x - width, x + width, a, b) for x in dashed for a, b in dashes if b > 1 and street.free(a, b)]
    whole = [-street.kerb + 0.4, street.kerb - 0.4] if rng.random() < 0.5 and not street.parking else []
    whole += [-0.15, 0.15] if street.lanes == 2 else []
    ends = [(0.7, FAR)] if street.crossing is None else [(0.7, street.crossing[0] - 4), (street.crossing[1] + 4, FAR)]
    lines += [strip(x - width, x + width, a, b) for x in whole for a, b in ends]
    zebra = street.crossing[0] - 3.6 if street.crossing else rng.uniform(8, 30) if rng.random() < 0.2 else None
    if zebra is not None:
        stripes = np.arange(-street.kerb + 0.5, street.kerb - 0.5, 1.1)
        lines += [strip(x, x + 0.55, zebra, zebra + 3) for x in stripes]
    for line in lines:
        painter.polygons(line[None], paint, up)


def shadows(painter: Painter, street: Street, casters: Sequence[Shadow]) -> None:
    """Soft dark patches under what stands on the ground, and the shade of the houses that hide the sun."""
    height, width = painter.camera.size
    soft = cv2.GaussianBlur(_footprints(painter, street, casters), (0, 0), max(height / 160, 0.5))
    dark = cv2.resize(255 - (soft * (0.45 + 0.3 * painter.light.direct)).astype(np.uint8), (width, height))
    image = painter.canvas.image
    cv2.multiply(image, cv2.cvtColor(dark, cv2.COLOR_GRAY2RGB), dst=image, scale=1 / 255)


def _footprints(painter: Painter, street: Street, casters: Sequence[Shadow]) -> NDArray[np.uint8]:
    """Where shadows fall, 255, at half the picture's size."""
    height, width = painter.camera.size
    mask = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    sun, direct = painter.light.sun, painter.light.direct
    x, z, half_width, half_length = np.array(casters, np.float64).reshape(-1, 4, 1).swapaxes(0, 1)
    right = x - sun[0] * direct + half_width * (-1, 1, 1, -1)
    ahead = z - sun[2] * direct * 0.5 + half_length * (-1, -1, 1, 1)
    for polygon in painter.camera.project_many(np.stack([right, 0 * right, ahead], axis=-1)):
        cv2.fillConvexPoly(mask, polygon // 2, (255,), cv2.LINE_8, SHIFT)
    if direct > 0.3 and street.lining[sun[0] > 0] == "town":
        side, reach = (1 if sun[0] > 0 else -1), 9 * abs(sun[0]) / sun[1]
        shade = strip(side * (street.front(side) + 1), side * (street.front(side) - reach))
        cv2.fillPoly(mask, [painter.camera.project_many(shade) // 2], (255,), cv2.LINE_8, SHIFT)
    return mask
