"""Street furniture on the sidewalk: lamp posts, traffic lights and signs, bollards, fences and walls."""

from __future__ import annotations

import math

import numpy as np

from pem_edge.runtime.datasets.toy_streets.painting.camera import Point
from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter, box

_STEEL: Color = (120, 124, 126)
_WHITE: Color = (238, 238, 236)
_RED: Color = (190, 30, 34)
_BLUE: Color = (30, 80, 170)


def post(painter: Painter, x: float, z: float, height: float, width: float, color: Color = _STEEL) -> None:
    """Paint an upright post."""
    painter.begin("pole")
    painter.polygon(box(x, 0, z, width, height), color, painter.light.sunlight(0, 0, -1))
    bright: Color = (color[0] * 1.25, color[1] * 1.25, color[2] * 1.25)
    painter.polygon(box(x + width * 0.15, 0, z, width * 0.3, height), bright, 0.6, detail=True)


def lamp_post(painter: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a street lamp whose arm reaches over the road."""
    height, reach = rng.uniform(6, 9), -math.copysign(rng.uniform(1, 2.2), x)
    color: Color = _STEEL if rng.random() < 0.7 else (52, 62, 56)
    post(painter, x, z, height, 0.2, color)
    arm = [(x, height - 0.25, z), (x, height, z), (x + reach, height + 0.5, z), (x + reach, height + 0.32, z)]
    painter.polygon(arm, color, 0.5)
    tip = x + reach
    half = math.copysign(0.45, reach)
    head = [(tip - half, height + 0.3, z), (tip + half, height + 0.38, z), (tip + half, height + 0.52, z)]
    painter.polygon([*head, (tip - half, height + 0.55, z)], (190, 192, 190), 0.5)
    painter.glow((tip, height + 0.35, z), 1.2, (150, 110, 60))


def traffic_light(painter: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a signal on its post, towards the camera or turned away."""
    post(painter, x, z, 2.5, 0.16, (70, 74, 76))
    painter.begin("traffic light")
    painter.polygon(box(x, 2.2, z, 0.42, 1.15), (34, 36, 38), painter.light.sunlight(0, 0, -1))
    if rng.random() < 0.2:
        return
    state = int(rng.integers(0, 3))
    for i, color in enumerate(((230, 40, 30), (240, 170, 30), (60, 220, 110))):
        place = (x, 3.1 - 0.36 * i, z)
        lit = i == state
        shown: Color = color if lit else (color[0] * 0.22, color[1] * 0.22, color[2] * 0.22)
        painter.disc(place, 0.13, (shown[0] * 1.5, shown[1] * 1.5, shown[2] * 1.5), 0.5, detail=True)
        if lit:
            painter.glow(place, 0.6, (color[0] * 0.5, color[1] * 0.5, color[2] * 0.5))


def traffic_sign(painter: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a sign of some shape on its post, or its back."""
    height, size = rng.uniform(2.1, 2.7), rng.uniform(0.36, 0.5)
    post(painter, x, z, height, 0.11)
    painter.begin("traffic sign")
    center, sunlight = (x, height + 0.3, z), painter.light.sunlight(0, 0, -1)
    kind = int(rng.integers(0, 7))
    if kind == 0:
        _layers(painter, center, sunlight, 3, math.pi / 2, [(size * 1.1, _RED), (size * 0.75, _WHITE)])
    elif kind == 1:
        _layers(
            painter, center, sunlight, 16, 0, [(size * 0.9, _RED), (size * 0.68, _WHITE), (size * 0.25, (30, 30, 34))]
        )
    elif kind == 2:
        _layers(painter, center, sunlight, 8, math.pi / 8, [(size, _WHITE), (size * 0.92, _RED), (size * 0.3, _WHITE)])
    elif kind == 3:
        _layers(painter, center, sunlight, 16, 0, [(size * 0.9, _WHITE), (size * 0.82, _BLUE), (size * 0.3, _WHITE)])
    elif kind == 4:
        _layers(painter, center, sunlight, 4, 0, [(size * 1.1, _WHITE), (size * 0.85, (235, 180, 30))])
    elif kind == 5:
        _panel(painter, center, (1.7 * size, 1.7 * size), _BLUE)
    else:
        color = (30, 105, 70) if rng.random() < 0.5 else _BLUE
        _panel(painter, center, (rng.uniform(3, 5) * size, 1.9 * size), color)


def _layers(
    painter: Painter, center: Point, sunlight: float, corners: int, turn: float, layers: list[tuple[float, Color]]
) -> None:
    """Paint polygons one upon another, each smaller; all but the first are details."""
    angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
    for i, (radius, color) in enumerate(layers):
        points = [(center[0] + radius * math.cos(a), center[1] + radius * math.sin(a), center[2]) for a in angles]
        painter.polygon(points, color, sunlight, detail=i > 0)


def _panel(painter: Painter, center: Point, size: tuple[float, float], color: Color) -> None:
    """Paint a rectangular sign with white lettering."""
    (x, y, z), (width, height) = center, size
    sunlight = painter.light.sunlight(0, 0, -1)
    painter.polygon(box(x, y - height / 2, z, width, height), _WHITE, sunlight)
    painter.polygon(box(x, y - height * 0.45, z, width * 0.92, height * 0.9), color, sunlight, detail=True)
    for row in (-0.22, 0.12):
        painter.polygon(box(x, y + row * height, z, width * 0.6, height * 0.13), _WHITE, sunlight, detail=True)


def bollard(painter: Painter, _: np.random.Generator, x: float, z: float) -> None:
    """Paint a low post."""
    post(painter, x, z, 1.0, 0.16, (70, 70, 74))


def wall(
    painter: Painter, rng: np.random.Generator, side: int, x: float, z: tuple[float, float], height: float
) -> None:
    """Paint a garden wall along the street."""
    painter.begin("fence")
    start, end = z
    color: Color = (150, 96, 80) if rng.random() < 0.5 else (176, 170, 158)
    dark: Color = (color[0] * 0.85, color[1] * 0.85, color[2] * 0.85)
    sunlight = painter.light.sunlight(-side, 0, 0)
    near = [(x, 0.0, start), (x + side * 0.3, 0.0, start), (x + side * 0.3, height, start), (x, height, start)]
    painter.polygon(near, color, painter.light.sunlight(0, 0, -1))
    painter.polygon([(x, 0.0, start), (x, 0.0, end), (x, height, end), (x, height, start)], color, sunlight)
    if start < 40:
        rows = np.arange(0.3, height, 0.3)
        lines = np.array([[(x, y, start), (x, y, end)] for y in rows])
        painter.lines(lines, dark, sunlight)
    cap = [(x, height, start), (x, height, end), (x, height + 0.12, end), (x, height + 0.12, start)]
    painter.polygon(cap, (200, 196, 188), painter.light.sunlight(0, 1, 0))


def fence(
    painter: Painter, rng: np.random.Generator, side: int, x: float, z: tuple[float, float], height: float
) -> None:
    """Paint a fence of boards along the street."""
    painter.begin("fence")
    start, end = z
    color: Color = (134, 104, 76) if rng.random() < 0.6 else (214, 212, 204)
    sunlight = painter.light.sunlight(-side, 0, 0)
    painter.polygon([(x, 0.05, start), (x, 0.05, end), (x, height, end), (x, height, start)], color, sunlight)
    if start < 50:
        gaps = np.arange(start, end, 0.35)
        slits = np.array([[(x, 0.1, g), (x, 0.1, g + 0.07), (x, height, g + 0.07), (x, height, g)] for g in gaps])
        painter.polygons(slits, (color[0] * 0.62, color[1] * 0.62, color[2] * 0.62), sunlight)
