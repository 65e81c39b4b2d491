"""Pedestrians and cyclists, painted limb by limb."""

from __future__ import annotations

import math

import numpy as np

from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

CLOTHES: tuple[Color, ...] = (
    (40, 44, 60), (150, 40, 44), (60, 90, 130), (210, 205, 195), (70, 74, 78), (190, 150, 60), (52, 92, 70),
    (120, 84, 130), (28, 28, 32), (170, 110, 80), (220, 120, 60), (120, 150, 180),
)  # fmt: skip
PANTS: tuple[Color, ...] = ((40, 46, 66), (32, 32, 36), (90, 84, 74), (120, 108, 88), (70, 78, 96))
SKIN: tuple[Color, ...] = ((226, 184, 154), (196, 148, 116), (140, 98, 72), (92, 64, 48))
HAIR: tuple[Color, ...] = ((34, 28, 26), (92, 66, 44), (190, 160, 110), (140, 140, 140))

Offset = tuple[float, float]
"""Position relative to a figure's feet: meters to the right and up, at a height of 1.75 m."""


class Figure:
    """Paints the parts of a person who stands at (``x``, ``z``) meters and is ``size`` times 1.75 m tall."""

    def __init__(self, painter: Painter, rng: np.random.Generator, x: float, z: float, size: float) -> None:
        self.painter, self.x, self.z, self.size = painter, x, z, size
        self.sunlight = painter.light.sunlight(0, 0.3, -0.95)
        self.shirt, self.pants = _pick(rng, CLOTHES), _pick(rng, PANTS)
        self.skin, self.hair = _pick(rng, SKIN), _pick(rng, HAIR)

    def polygon(self, corners: list[Offset], color: Color) -> None:
        """Paint a polygon with these corners."""
        points = [(self.x + self.size * right, self.size * up, self.z) for right, up in corners]
        self.painter.polygon(points, color, self.sunlight)

    def limb(self, start: Offset, end: Offset, widths: tuple[float, float], color: Color) -> None:
        """Paint a limb, with its widths in meters at ``start`` and ``end``."""
        length = math.hypot(end[0] - start[0], end[1] - start[1]) or 1.0
        across, up = -(end[1] - start[1]) / length / 2, (end[0] - start[0]) / length / 2
        a, b = widths
        self.polygon(
            [(start[0] - across * a, start[1] - up * a), (start[0] + across * a, start[1] + up * a),
             (end[0] + across * b, end[1] + up * b), (end[0] - across * b, end[1] - up * b)],
            color,
        )  # fmt: skip

    def head(self, center: Offset, *, seen_from_behind: bool, helmet: Color | None = None) -> None:
        """Paint a head with hair or a helmet."""
        x, y = self.x + self.size * center[0], self.size * center[1]
        top, face = (x, y + 0.05 * self.size, self.z), (x, y - 0.02 * self.size, self.z)
        color = self.hair if seen_from_behind else self.skin
        self.painter.disc((x, y, self.z), 0.115 * self.size, color, self.sunlight)
        self.painter.disc(top, 0.105 * self.size, helmet or self.hair, self.sunlight)
        if not seen_from_behind:
            self.painter.disc(face, 0.085 * self.size, self.skin, self.sunlight, detail=True)

    def wheel(self, x: float, *, edge_on: bool) -> None:
        """Paint a bicycle's wheel, ``x`` meters right of the figure; the spokes are a gray disc."""
        if edge_on:
            self.limb((x, 0.0), (x, 0.68), (0.06, 0.06), (24, 24, 26))
            return
        center = (self.x + x * self.size, 0.34 * self.size, self.z)
        self.painter.disc(center, 0.34 * self.size, (28, 28, 30), self.sunlight)
        self.painter.disc(center, 0.29 * self.size, (118, 118, 118), self.sunlight, detail=True)
        self.painter.disc(center, 0.04 * self.size, (40, 40, 42), self.sunlight, detail=True)


def person(painter: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a pedestrian who stands or walks, seen from behind, the front or the side."""
    painter.begin("person")
    child = rng.random() < 0.12
    figure = Figure(painter, rng, x, z, float(rng.uniform(0.6, 0.75) if child else rng.uniform(0.9, 1.08)))
    sideways, step = bool(rng.random() < 0.45), float(rng.uniform(-0.26, 0.26))
    spread = step if sideways else 0.09
    shoes: Color = (30, 28, 28)
    for foot, hip in ((-spread, -0.06), (spread, 0.06)):
        hip = 0.0 if sideways else hip
        knee = (foot * 0.6 + hip * 0.4, 0.45)
        figure.limb((hip, 0.86), knee, (0.2, 0.15), figure.pants)
        figure.limb(knee, (foot, 0.06), (0.15, 0.11), figure.pants)
        figure.polygon([(foot - 0.07, 0), (foot + 0.09, 0), (foot + 0.07, 0.09), (foot - 0.06, 0.09)], shoes)
    _torso(figure, rng, 0.14 if sideways else 0.22, step)
    figure.head((0.02 if sideways else 0.0, 1.61), seen_from_behind=bool(rng.random() < 0.45))


def _torso(figure: Figure, rng: np.random.Generator, half_width: float, swing: float) -> None:
    """Paint the chest and the arms, sometimes with a coat or skirt, sometimes with a bag."""
    hem_height = 0.55 if rng.random() < 0.25 else 0.82
    hem_half_width = half_width * (1.15 if hem_height < 0.8 else 0.85)
    for side in (-1, 1):
        hand = (side * (half_width + 0.05) + swing * 0.8 * side, 0.82)
        figure.limb((side * (half_width - 0.03), 1.4), hand, (0.12, 0.08), _darker(figure.shirt))
        figure.polygon([(hand[0] - 0.04, 0.74), (hand[0] + 0.04, 0.74), (hand[0] + 0.04, 0.83), (hand[0] - 0.04, 0.83)],
                       figure.skin)  # fmt: skip
    right_side = [(hem_half_width, hem_height), (half_width * 0.9, 1.15), (half_width, 1.4), (0.07, 1.5)]
    chest = [(-hem_half_width, hem_height), *right_side]
    chest += [(-right, up) for right, up in reversed(right_side[1:])]
    figure.polygon(chest, figure.shirt)
    if rng.random() < 0.3:
        left, right = half_width - 0.02, half_width + 0.2
        figure.polygon([(left, 0.7), (right, 0.7), (right, 0.98), (left, 0.98)], _pick(rng, CLOTHES))


def rider(painter: Painter, rng: np.random.Generator, x: float, z: float, *, sideways: bool) -> None:
    """Paint a cyclist and the bicycle, seen from the side (``sideways``), from behind or from the front."""
    painter.begin("rider")
    figure, frame = Figure(painter, rng, x, z, float(rng.uniform(0.95, 1.08))), _pick(rng, CLOTHES)
    helmet = _pick(rng, CLOTHES) if rng.random() < 0.5 else None
    forward = bool(rng.random() < 0.5)  # to the right if sideways, else away from the camera
    if sideways:
        _side_view(figure, frame, helmet, direction=1 if forward else -1)
    else:
        _end_view(figure, frame, helmet, seen_from_behind=forward)


def _side_view(figure: Figure, frame: Color, helmet: Color | None, *, direction: int) -> None:
    """Paint a cyclist who rides to the right (``direction`` 1) or to the left (-1)."""
    for x in (-0.52, 0.52):
        figure.wheel(x, edge_on=False)
    tubes = [((-0.52, 0.34), (-0.18, 0.85)), ((-0.18, 0.85), (0.05, 0.32)), ((0.05, 0.32), (-0.52, 0.34)),
             ((-0.15, 0.78), (0.38, 0.82)), ((0.38, 0.82), (0.05, 0.32)), ((0.35, 1.0), (0.52, 0.34))]  # fmt: skip
    for (a, ya), (b, yb) in tubes:
        figure.limb((direction * a, ya), (direction * b, yb), (0.055, 0.055), frame)
    for knee, foot in (((0.22, 0.72), (0.12, 0.2)), ((0.28, 0.88), (0.02, 0.45))):
        figure.limb((direction * -0.18, 0.95), (direction * knee[0], knee[1]), (0.19, 0.14), figure.pants)
        figure.limb((direction * knee[0], knee[1]), (direction * foot[0], foot[1]), (0.14, 0.1), figure.pants)
    figure.limb((direction * -0.2, 0.92), (direction * 0.14, 1.46), (0.24, 0.3), figure.shirt)
    figure.limb((direction * 0.12, 1.4), (direction * 0.38, 1.05), (0.11, 0.08), _darker(figure.shirt))
    figure.head((direction * 0.22, 1.64), seen_from_behind=False, helmet=helmet)


def _end_view(figure: Figure, frame: Color, helmet: Color | None, *, seen_from_behind: bool) -> None:
    """Paint a cyclist who rides away from the camera or toward it."""
    figure.wheel(0.0, edge_on=True)
    figure.limb((0.0, 0.6), (0.0, 0.95), (0.09, 0.12), frame)
    for side, knee in ((-1, 0.62), (1, 0.5)):
        figure.limb((side * 0.1, 0.95), (side * 0.16, knee), (0.18, 0.14), figure.pants)
        figure.limb((side * 0.16, knee), (side * 0.13, knee - 0.4), (0.13, 0.1), figure.pants)
        figure.limb((side * 0.2, 1.42), (side * 0.3, 1.05), (0.12, 0.09), _darker(figure.shirt))
    figure.limb((-0.3, 1.03), (0.3, 1.03), (0.05, 0.05), (40, 40, 42))
    figure.polygon([(-0.17, 0.88), (0.17, 0.88), (0.23, 1.4), (0.07, 1.5), (-0.07, 1.5), (-0.23, 1.4)], figure.shirt)
    figure.head((0.0, 1.63), seen_from_behind=seen_from_behind, helmet=helmet)


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[int(rng.integers(len(colors)))]


def _darker(color: Color) -> Color:
    return color[0] * 0.85, color[1] * 0.85, color[2] * 0.85
