"""Vehicles: profiles extruded to bodies, with glass, wheels, lamps and plates."""

from __future__ import annotations

import math

import numpy as np

from pem_edge.runtime.datasets.toy_streets.objects.vehicle_models import CAB, Model, box
from pem_edge.runtime.datasets.toy_streets.painting.camera import Point
from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

PAINTS: tuple[Color, ...] = (
    (225, 226, 228), (30, 32, 36), (110, 114, 120), (168, 172, 178), (150, 30, 34), (36, 60, 120), (70, 100, 140),
    (200, 196, 180), (40, 80, 60), (190, 150, 50), (90, 62, 50), (190, 90, 40), (60, 64, 72), (120, 170, 190),
)  # fmt: skip
_GLASS: Color = (44, 54, 64)
_TIRE: Color = (26, 26, 28)
_FINE = 60.0


class Body:
    """A model that stands at (``x``, ``z``) and points ``heading`` radians to the right of straight ahead."""

    def __init__(self, painter: Painter, x: float, z: float, heading: float) -> None:
        self.painter, self.x, self.z = painter, x, z
        self.sin, self.cos = math.sin(heading), math.cos(heading)
        camera = painter.camera.view
        ahead = camera.x - 0.5 * camera.curvature * z * z - x
        self.camera_side = ahead * self.cos + z * self.sin  # of the camera to the body's right, in meters
        self.from_behind = ahead * self.sin - z * self.cos < 0

    def point(self, right: float, up: float, ahead: float) -> Point:
        """Return a point of the body in the street."""
        return (
            self.x + right * self.cos + ahead * self.sin,
            up,
            self.z - right * self.sin + ahead * self.cos,
        )

    def sunlight(self, right: float, up: float, ahead: float) -> float:
        """Return how much a face with this normal turns to the sun."""
        return self.painter.light.sunlight(right * self.cos + ahead * self.sin, up, ahead * self.cos - right * self.sin)


def draw(painter: Painter, rng: np.random.Generator, model: Model, x: float, z: float, heading: float) -> None:
    """Paint a vehicle; a truck is its load and its cab, the farther part first."""
    painter.begin(model.kind)
    body, paint = Body(painter, x, z, heading), PAINTS[int(rng.integers(len(PAINTS)))]
    if model.kind == "truck":
        load = PAINTS[int(rng.choice([0, 2, 3, 7, 5]))]
        parts = [(model, load), (CAB, paint)]
        for part, color in parts if not body.from_behind else parts[::-1]:
            _extrude(body, part, color)
    else:
        _extrude(body, model, paint)
    _end(body, rng, CAB if model.kind == "truck" and not body.from_behind else model)


def _extrude(body: Body, model: Model, paint: Color) -> None:
    """Paint the visible faces of a profile."""
    painter = body.painter
    _far_wheels(body, model)
    left, right = (
        painter.camera.project_points([body.point(sign * model.half_at(y), y, a) for a, y in model.profile])
        for sign in (-1, 1)
    )
    faces = range(len(model.profile) - 1)
    for i in faces if not body.from_behind else reversed(faces):
        corners = np.stack([left[i], right[i], right[i + 1], left[i + 1]])
        if _outward(corners.tolist()):
            (a, ya), (b, yb) = model.profile[i], model.profile[i + 1]
            sunlight = body.sunlight(0, (b - a) / math.hypot(b - a, yb - ya), (ya - yb) / math.hypot(b - a, yb - ya))
            painter.pixels([corners], body.z, _GLASS if i in model.glass else paint, sunlight)
    if abs(body.camera_side) > model.half:
        side = 1 if body.camera_side > 0 else -1
        painter.pixels([right if side > 0 else left], body.z, paint, body.sunlight(side, 0, 0))
        _side(body, model, side, paint)


def _outward(p: list[list[int]]) -> bool:
    """Return whether the camera sees the outer side of a face with these corners."""
    return (p[2][0] - p[0][0]) * (p[3][1] - p[1][1]) < (p[3][0] - p[1][0]) * (p[2][1] - p[0][1])


def _far_wheels(body: Body, model: Model) -> None:
    """Paint tires seen under the body from behind or from the front."""
    low = model.profile[0][1] + 0.1
    for place in model.wheels:
        for left in (-model.half + 0.05, model.half - 0.3):
            ends = (left, left + 0.25)
            tire = [body.point(a, y, place) for y in (0.0, low) for a in (ends if y == 0 else ends[::-1])]
            body.painter.polygon(tire, _TIRE)
    shade = [body.point(a, y, model.profile[0][0] + 0.3) for a, y in
             ((-model.half, 0.22), (model.half, 0.22), (model.half, low), (-model.half, low))]  # fmt: skip
    body.painter.polygon(shade, (16, 16, 18), 0)


def _side(body: Body, model: Model, side: int, paint: Color) -> None:
    """Paint windows, doors and wheels of the side towards the camera."""
    painter = body.painter
    for pane in model.side_glass:
        points = [body.point(side * model.half_at(y), y, a) for a, y in pane]
        painter.polygon(points, _GLASS, 0.5, detail=True)
    if body.z < _FINE / 2 and model.kind == "car":
        sill = [body.point(side * model.half, y, a) for a, y in box(model.wheels[0], model.wheels[1], 0.3, 0.42)]
        painter.polygon(sill, (30, 30, 32), 0.3, detail=True)
        line = np.array([[body.point(side * model.half, y, 0.0) for y in (0.4, 1.0)]])
        painter.lines(line, (paint[0] * 0.5, paint[1] * 0.5, paint[2] * 0.5))
    turns = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    for place in model.wheels:
        for radius, color, hub in ((model.radius, _TIRE, False), (0.6 * model.radius, (112, 114, 118), True)):
            if body.z < _FINE or not hub:
                rim = [
                    body.point(
                        side * (model.half + 0.01), model.radius + radius * math.sin(t), place + radius * math.cos(t)
                    )
                    for t in turns
                ]
                painter.polygon(rim, color, 0.5, detail=hub)


def _end(body: Body, rng: np.random.Generator, model: Model) -> None:
    """Paint lamps and plate of the rear or of the front, whichever faces the camera."""
    if abs(body.cos) < 0.3:
        return
    painter, behind = body.painter, body.from_behind
    place = model.profile[1 if behind else -2][0] + (-0.02 if behind else 0.02)
    edge = model.profile[1 if behind else -2][1]
    base = edge - 0.05 if edge < 1.2 else 0.95
    lamp: Color = (190, 24, 20) if behind else (245, 245, 235)
    if painter.light.lamps or (behind and rng.random() < 0.3):
        lamp = (600, 80, 60) if behind else (900, 880, 800)
    for side in (-1, 1):
        outer, inner = side * model.half * 0.97, side * model.half * 0.68
        corners = [(outer, base), (inner, base), (inner, base + 0.22), (outer, base + 0.22)]
        painter.polygon([body.point(a, y, place) for a, y in corners], lamp, 0.6, detail=True)
        painter.glow(
            body.point(side * model.half * 0.82, base + 0.1, place), 0.5, (90, 20, 10) if behind else (190, 180, 150)
        )
    if body.z < _FINE:
        for a, bottom, top, color in ((0.26, base - 0.22, base - 0.1, (236, 234, 220)), (0.8, 0.3, 0.42, (32, 32, 34))):
            plate = [(-a, bottom), (a, bottom), (a, top), (-a, top)]
            painter.polygon([body.point(b, y, place) for b, y in plate], color, 0.5, detail=True)
