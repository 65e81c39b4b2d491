"""Road, pavements and grass, with wear and texture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.ground.street import FAR, SIDES, Street
from pem_edge.runtime.datasets.toy_streets.painting import textures
from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

_DISTANCES = np.concatenate([[0.7], np.geomspace(2, FAR, 17)])


def strip(left: float, right: float, start: float = 0.7, end: float = FAR) -> NDArray[np.float64]:
    """Return what lies between two distances from the road's middle, along the road, as a polygon (N, 3)."""
    z = np.concatenate([[start], [z for z in _DISTANCES if start < z < end], [end]])
    x = np.repeat([left, right], len(z))
    return np.stack([x, np.zeros_like(x), np.concatenate([z, z[::-1]])], axis=1)


def draw(painter: Painter, rng: np.random.Generator, street: Street) -> None:
    """Paint everything flat but the markings."""
    up, tint = painter.light.sunlight(0, 1, 0), rng.uniform(-15, 15)
    grass: Color = (96 + tint, 122 + tint, 62 + tint / 2)
    level, warm = rng.uniform(135, 175), rng.uniform(-4, 12)
    _meadow(painter, grass, up)
    _pavements(painter, street, (level + warm, level, level - warm), up)
    if street.lawn:
        _lawns(painter, street, grass, up)
    level = rng.uniform(72, 118)
    _asphalt(painter, street, (level, level, level + rng.uniform(-2, 6)), up)
    _wear(painter, rng, street, level, up)
    _texture(painter, rng)


def _meadow(painter: Painter, grass: Color, up: float) -> None:
    """Paint the plain under everything else."""
    painter.begin("terrain")
    plain = np.array([[(-60, 0, 0.7), (60, 0, 0.7), (900, 0, 400), (-900, 0, 400)]])
    painter.polygons(plain, grass, up, detail=False)


def _pavements(painter: Painter, street: Street, stone: Color, up: float) -> None:
    painter.begin("sidewalk")
    for side in SIDES:
        end = street.front(side) if street.lining[side > 0] == "town" else street.pavement
        painter.polygons(strip(side * street.curb, side * (end + 0.5))[None], stone, up, detail=False)
    _joints(painter, street, stone, up)


def _lawns(painter: Painter, street: Street, grass: Color, up: float) -> None:
    """Paint grass between the curbs and the pavements."""
    painter.begin("terrain")
    for side in SIDES:
        lawn = strip(side * (street.curb + 0.25), side * (street.curb + 0.25 + street.lawn))
        painter.polygons(lawn[None], grass, up, detail=False)


def _asphalt(painter: Painter, street: Street, asphalt: Color, up: float) -> None:
    """Paint the road, and the one that crosses it."""
    painter.begin("road")
    painter.polygons(strip(-street.curb, street.curb)[None], asphalt, up, detail=False)
    if street.crossing:
        start, end = street.crossing
        across = np.array([[(-90, 0, start), (90, 0, start), (90, 0, end), (-90, 0, end)]], np.float64)
        painter.polygons(across, asphalt, up, detail=False)


def _joints(painter: Painter, street: Street, stone: Color, up: float) -> None:
    """Paint curb stones and joints between slabs."""
    dark: Color = (stone[0] * 0.78, stone[1] * 0.78, stone[2] * 0.78)
    bright: Color = (stone[0] * 1.15, stone[1] * 1.15, stone[2] * 1.15)
    z = np.arange(2.0, 34.0, 1.6)
    for side in SIDES:
        ends = np.array(
            [(side * (street.pavement - street.pavement_width + 0.2), 0, 0), (side * street.pavement, 0, 0)]
        )
        lines = np.repeat(ends[None], len(z), axis=0)
        lines[..., 2] = z[:, None]
        painter.lines(lines, dark, up)
        painter.polygons(strip(side * street.curb, side * (street.curb + 0.22))[None], bright, up)


def _wear(painter: Painter, rng: np.random.Generator, street: Street, level: float, up: float) -> None:
    """Paint mended patches, wheel tracks, and drains."""
    track: Color = (level * 0.93, level * 0.93, level * 0.94)
    for number in (*range(-street.lanes, 0), *range(1, street.lanes + 1)):
        for offset in (-0.8, 0.8):
            x = street.lane(number) + offset
            painter.polygons(strip(x - 0.25, x + 0.25)[None], track, up)
    for _ in range(int(rng.integers(0, 6))):
        x, z, width, length = rng.uniform(-street.curb, street.curb - 1), rng.uniform(3, 40), *rng.uniform(0.5, 3, 2)
        shade = level * rng.uniform(0.7, 1.1)
        right = min(x + width, street.curb)
        painter.polygons(strip(x, right, z, z + 2 * length)[None], (shade, shade, shade), up)


def _texture(painter: Painter, rng: np.random.Generator) -> None:
    """Paint grain that gets finer with the distance, and haze."""
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
