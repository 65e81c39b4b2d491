"""Trees, bushes and hedges."""

from __future__ import annotations

import math

import numpy as np

from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter, box

LEAVES: tuple[Color, ...] = ((70, 98, 44), (86, 110, 52), (58, 86, 48), (104, 116, 50), (120, 98, 44), (66, 92, 66))
_FINE = 60.0


def random_leaf_color(rng: np.random.Generator) -> Color:
    """Return a color of leaves."""
    return LEAVES[int(rng.integers(len(LEAVES)))]


def tree(painter: Painter, rng: np.random.Generator, x: float, z: float, height: float, color: Color) -> None:
    """Paint a trunk and a crown; one tree in six is a conifer."""
    painter.begin("vegetation")
    trunk, width = height * rng.uniform(0.25, 0.4), 0.04 * height
    bark: Color = (88, 74, 62)
    painter.polygon(box(x, 0, z, width, trunk + 0.2 * height), bark, painter.light.sunlight(0, 0, -1))
    if rng.random() < 1 / 6:
        _conifer(painter, x, z, height, color)
    else:
        crown(painter, rng, (x, trunk, z), (height * rng.uniform(0.22, 0.34), height - trunk), color)


def bush(painter: Painter, rng: np.random.Generator, x: float, z: float, size: float, color: Color) -> None:
    """Paint a bush ``size`` meters high."""
    painter.begin("vegetation")
    crown(painter, rng, (x, -0.1 * size, z), (size * rng.uniform(0.5, 0.9), size), color)


def crown(
    painter: Painter,
    rng: np.random.Generator,
    base: tuple[float, float, float],
    size: tuple[float, float],
    color: Color,
) -> None:
    """Paint balls of leaves that fill an ellipse above ``base``; ``size`` is half its width, and its height."""
    x, y, z = base
    half, height = size
    count = 20 if z < _FINE else 8
    angle, reach = rng.uniform(0, 2 * math.pi, count), np.sqrt(rng.random(count))
    radius = rng.uniform(0.28, 0.42, count) * min(half, height / 2)
    across = (half - radius * 0.6) * reach * np.cos(angle)
    up = (height / 2 - radius * 0.6) * reach * np.sin(angle)
    sun = painter.light.sun
    brightness = 0.5 + 0.45 * (across / half * sun[0] + up / height * 2 * sun[1]) - 0.12 * (sun[2] > 0)
    painter.disc((x, y + height / 2, z), 0.75 * min(half, height / 2), color, 0.1)
    order = np.argsort(up)  # low and dark ones first
    centers = np.stack([x + across, y + height / 2 + up, np.full(count, z)], axis=1)
    painter.balls(centers[order], radius[order], color, brightness[order].clip(0))
    if z < _FINE:
        _clumps(painter, rng, base, size, color)


def _clumps(
    painter: Painter,
    rng: np.random.Generator,
    base: tuple[float, float, float],
    size: tuple[float, float],
    color: Color,
) -> None:
    """Paint lighter and darker tufts over a crown."""
    count = 36
    angle, reach = rng.uniform(0, 2 * math.pi, count), 0.72 * np.sqrt(rng.random(count))
    centers = np.stack([size[0] * reach * np.cos(angle), size[1] / 2 * (1 + reach * np.sin(angle)), angle * 0], -1)
    corners = rng.uniform(-0.17, 0.17, (count, 5, 3)) * min(size[0], size[1] / 2) * (1, 1, 0)
    tufts = centers[:, None] + corners + np.array(base)
    painter.polygons(tufts[::2], color, 0.05, detail=False)
    painter.polygons(tufts[1::2], color, 0.95, detail=False)


def _conifer(painter: Painter, x: float, z: float, height: float, color: Color) -> None:
    dark: Color = (color[0] * 0.7, color[1] * 0.8, color[2] * 0.9)
    for tier in range(5):
        low, half = height * (0.12 + 0.16 * tier), height * 0.2 * (1 - tier / 6)
        triangle = [(x - half, low, z), (x, low - 0.03 * height, z), (x + half, low, z), (x, low + 0.3 * height, z)]
        painter.polygon(triangle, dark, 0.25 + 0.12 * tier)


def hedge(painter: Painter, rng: np.random.Generator, side: int, x: float, z: tuple[float, float]) -> None:
    """Paint a cut hedge along the street from ``z[0]`` to ``z[1]``."""
    painter.begin("vegetation")
    height, color = rng.uniform(0.9, 1.8), random_leaf_color(rng)
    (start, end), back = z, x + side * 0.9
    front_wall = [(x, 0.0, start), (x, 0.0, end), (x, height, end), (x, height, start)]
    top = [(x, height, start), (x, height, end), (back, height, end), (back, height, start)]
    near = [(x, 0.0, start), (back, 0.0, start), (back, height, start), (x, height, start)]
    painter.polygon(top, color, painter.light.sunlight(0, 1, 0))
    painter.polygon(near, color, painter.light.sunlight(0, 0, -1))
    painter.polygon(front_wall, color, painter.light.sunlight(-side, 0, 0))
