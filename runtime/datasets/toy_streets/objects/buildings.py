"""Houses along the street: fronts with windows, doors and shops, gables, roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

PLASTER: tuple[Color, ...] = (
    (214, 200, 170), (198, 170, 138), (226, 220, 208), (176, 150, 128), (196, 186, 190), (168, 178, 186),
    (222, 196, 150), (150, 140, 132), (205, 165, 150), (184, 196, 176), (120, 116, 118), (236, 232, 222),
)  # fmt: skip
BRICK: tuple[Color, ...] = ((152, 84, 66), (132, 74, 62), (168, 104, 78), (118, 82, 72))
TILES: tuple[Color, ...] = ((140, 72, 56), (92, 84, 84), (116, 66, 58), (78, 82, 92))
SHOPS: tuple[Color, ...] = ((150, 40, 40), (40, 70, 120), (40, 100, 70), (200, 160, 60), (60, 60, 64), (180, 90, 40))
_GLASS: Color = (66, 82, 98)
_LIT: Color = (560, 450, 260)  # above 255: it shines by itself
_RIGHT, _UP = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
_FINE = 45.0
"""Details smaller than a window are drawn up to this distance in meters."""


@dataclass(frozen=True)
class House:
    """A house along the street, lengths in meters.

    Attributes:
        side: The side of the street, -1 or 1.
        front: The distance of its front from the road's middle.
        start: Where it begins along the street.
        end: Where it ends.
        floors: The number of floors.
        floor: The height of a floor.
        depth: How far it reaches away from the street.
        roof: The height of the roof.
    """

    side: int
    front: float
    start: float
    end: float
    floors: int
    floor: float
    depth: float
    roof: float
    wall: Color
    trim: Color
    brick: bool
    shop: bool

    @property
    def height(self) -> float:
        """The height of the wall, in meters."""
        return self.floors * self.floor + 0.5


@dataclass(frozen=True)
class Wall:
    """An upright wall from (``x``, ``z``) on, ``length`` meters in the direction (``dx``, ``dz``)."""

    x: float
    z: float
    dx: float
    dz: float
    length: float
    sunlight: float

    def at(self, s: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points (..., 3) ``s`` meters along the wall and ``y`` high."""
        points = np.empty((*np.broadcast_shapes(s.shape, y.shape), 3))
        points[..., 0] = self.x + self.dx * s
        points[..., 1] = y
        points[..., 2] = self.z + self.dz * s
        return points

    def rectangles(
        self, left: NDArray[np.floating], bottom: NDArray[np.floating], width: float, height: float
    ) -> NDArray[np.floating]:
        """Return upright rectangles (M, 4, 3) of one size."""
        return self.at(left[:, None] + width * _RIGHT, bottom[:, None] + height * _UP)


def random_house(rng: np.random.Generator, side: int, front: float, start: float, end: float, *, town: bool) -> House:
    """Return some house for a plot."""
    brick = bool(rng.random() < 0.35)
    colors = BRICK if brick else PLASTER
    wall = scale_color(colors[int(rng.integers(len(colors)))], rng.uniform(0.85, 1.1))
    return House(
        side=side,
        front=front,
        start=start,
        end=end,
        floors=int(rng.integers(2, 7) if town else rng.integers(1, 3)),
        floor=float(rng.uniform(2.8, 3.4)),
        depth=float(rng.uniform(9, 14)),
        roof=float(rng.uniform(1.8, 3.8)) if not town or rng.random() < 0.6 else 0.0,
        wall=wall,
        trim=scale_color(wall, 0.7) if rng.random() < 0.4 else (232.0, 230.0, 224.0),
        brick=brick,
        shop=town and bool(rng.random() < 0.45),
    )


def draw(painter: Painter, rng: np.random.Generator, plan: House) -> None:
    """Paint one house."""
    painter.begin("building")
    light, x = painter.light, plan.side * plan.front
    near = Wall(x, plan.start, plan.side, 0, plan.depth, light.sunlight(0, 0, -1))
    street = Wall(x, plan.start, 0, 1, plan.end - plan.start, light.sunlight(-plan.side, 0, 0))
    if plan.roof:
        _roof(painter, rng, plan)
    for wall in (near, street):
        _wall(painter, plan, wall)
        _windows(painter, rng, plan, wall, ground=wall is near or not plan.shop)
    if plan.shop:
        _shop(painter, rng, plan, street)
    else:
        _door(painter, rng, plan, street)


def scale_color(color: Color, factor: float) -> Color:
    """Return a color made lighter or darker."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def _roof(painter: Painter, rng: np.random.Generator, plan: House) -> None:
    """Paint a ridge along the street, with its gable towards the camera, and a chimney."""
    tiles = TILES[int(rng.integers(len(TILES)))]
    x, y, back = plan.side * (plan.front - 0.4), plan.height, plan.side * (plan.front + plan.depth)
    ridge = (x + back) / 2
    top = y + plan.roof
    chimney = rng.uniform(plan.start + 1, plan.end - 1)
    stack = [(ridge, top - 1, chimney), (ridge, top - 1, chimney + 0.9), (ridge, top + 1, chimney + 0.9)]
    painter.polygon([*stack, (ridge, top + 1, chimney)], (120, 80, 70))
    slope = [(x, y - 0.1, plan.start), (x, y - 0.1, plan.end), (ridge, top, plan.end), (ridge, top, plan.start)]
    painter.polygon(slope, tiles, painter.light.sunlight(-plan.side * 0.5, 0.87, 0))
    gable = [(x, y, plan.start), (back, y, plan.start), (ridge, top, plan.start)]
    painter.polygon(gable, plan.wall, painter.light.sunlight(0, 0, -1))


def _wall(painter: Painter, plan: House, wall: Wall) -> None:
    """Paint the bare wall, with visible courses of bricks, a plinth, and lines between floors."""
    zero = np.zeros(1)
    painter.polygons(wall.rectangles(zero, zero, wall.length, plan.height), plan.wall, wall.sunlight, detail=False)
    ends = np.array([0.0, wall.length])
    if plan.brick and plan.start < 20:
        courses = np.arange(0.3, plan.height, 0.33)
        painter.lines(wall.at(ends[None], courses[:, None]), scale_color(plan.wall, 0.9), wall.sunlight)
    if plan.start < 2 * _FINE:
        painter.polygons(wall.rectangles(zero, zero, wall.length, 0.6), scale_color(plan.wall, 0.75), wall.sunlight)
        eaves = zero + plan.height - 0.4
        painter.polygons(wall.rectangles(zero, eaves, wall.length, 0.4), plan.trim, wall.sunlight)


def _windows(painter: Painter, rng: np.random.Generator, plan: House, wall: Wall, *, ground: bool) -> None:
    """Paint a window on every floor of every bay; some are lit in the dark."""
    bay, width, height = rng.uniform(2.1, 3.2), rng.uniform(0.9, 1.5), rng.uniform(1.3, 1.9)
    bays = max(int(wall.length / bay), 1)
    margin = (wall.length - bays * bay) / 2 + (bay - width) / 2
    columns, rows = np.meshgrid(np.arange(bays), np.arange(0 if ground else 1, plan.floors))
    left, bottom = margin + bay * columns.ravel(), 0.95 + plan.floor * rows.ravel()
    lit = (rng.random(len(left)) < 0.4) & painter.light.lamps
    glass = _GLASS if rng.random() < 0.6 else scale_color(painter.light.zenith, 0.6)
    painter.polygons(wall.rectangles(left - 0.12, bottom - 0.12, width + 0.24, height + 0.24), plan.trim, wall.sunlight)
    painter.polygons(wall.rectangles(left[~lit], bottom[~lit], width, height), glass, 0.4)
    painter.polygons(wall.rectangles(left[lit], bottom[lit], width, height), _LIT, 0.5)
    if plan.start < _FINE:
        middle = wall.rectangles(left + width / 2 - 0.04, bottom, 0.08, height)
        painter.polygons(middle, plan.trim, wall.sunlight)
        sills = wall.rectangles(left - 0.2, bottom - 0.28, width + 0.4, 0.16)
        painter.polygons(sills, scale_color(plan.trim, 0.85), wall.sunlight)


def _shop(painter: Painter, rng: np.random.Generator, plan: House, wall: Wall) -> None:
    """Paint shop windows, a sign over them, perhaps an awning."""
    color = SHOPS[int(rng.integers(len(SHOPS)))]
    count = max(int(wall.length / 4), 1)
    width = wall.length / count - 0.7
    left = 0.35 + np.arange(count) * wall.length / count
    glass: Color = (400, 350, 240) if painter.light.lamps else (56, 66, 76)
    painter.polygons(wall.rectangles(left - 0.15, left * 0, width + 0.3, 2.6), scale_color(color, 0.7), wall.sunlight)
    painter.polygons(wall.rectangles(left, left * 0 + 0.5, width, 1.9), glass, 0.4)
    zero = np.zeros(1)
    painter.polygons(wall.rectangles(zero + 0.2, zero + 2.65, wall.length - 0.4, 0.6), color, wall.sunlight)
    if rng.random() < 0.5:
        out = wall.x - plan.side * 1.3
        slope = [(wall.x, 2.9, plan.start), (wall.x, 2.9, plan.end), (out, 2.35, plan.end), (out, 2.35, plan.start)]
        painter.polygon(slope, SHOPS[int(rng.integers(len(SHOPS)))], painter.light.sunlight(0, 1, 0))


def _door(painter: Painter, rng: np.random.Generator, plan: House, wall: Wall) -> None:
    place, color = np.array([rng.uniform(0.3, 0.7) * wall.length]), SHOPS[int(rng.integers(len(SHOPS)))]
    painter.polygons(wall.rectangles(place - 0.15, place * 0, 1.3, 2.45), plan.trim, wall.sunlight)
    painter.polygons(wall.rectangles(place, place * 0, 1.0, 2.3), scale_color(color, 0.6), wall.sunlight)
