"""Places what lines a street, plot by plot: houses, gardens, parks, and walls."""

from __future__ import annotations

from pem_edge.runtime.datasets.toy_streets.ground.street import FAR
from pem_edge.runtime.datasets.toy_streets.objects import buildings, furniture, plants
from pem_edge.runtime.datasets.toy_streets.staging.stage import Stage


def place(stage: Stage, side: int) -> None:
    """Fill one side of the street."""
    rng, street = stage.rng, stage.street
    plot = _PLOTS[street.lining[side > 0]]
    z = float(rng.uniform(-12, 0))
    while z < FAR:
        end = z + float(rng.uniform(9, 20))
        if street.is_free(z, end):
            plot(stage, side, z, end)
        elif street.crossing:
            if z < street.crossing[0] - 6:
                plot(stage, side, z, street.crossing[0] - 1)
            end = street.crossing[1] + 1
        z = end + (float(rng.uniform(0, 3)) if rng.random() < 0.2 else 0.0)


def _house(stage: Stage, side: int, start: float, end: float) -> None:
    house = buildings.random_house(stage.rng, side, stage.street.front(side), start, end, town=True)
    stage.add(end + 0.4, buildings.draw, house)


def _garden(stage: Stage, side: int, start: float, end: float) -> None:
    """Place a house behind a hedge, a fence or a wall, or an open garden."""
    rng, front, pavement = stage.rng, stage.street.front(side), stage.street.pavement
    gap = min(rng.uniform(1, 4), (end - start) / 3)
    stage.add(end + 0.4, buildings.draw, buildings.random_house(rng, side, front, start + gap, end, town=False))
    edge, kind = side * (pavement + 0.25), rng.random()
    if kind < 0.35:
        stage.add(end, plants.hedge, side, edge, (start, end - 1.2))
    elif kind < 0.75:
        draw = furniture.fence if rng.random() < 0.6 else furniture.wall
        stage.add(end, draw, side, edge, (start, end - 1), float(rng.uniform(0.8, 1.6)))
    if front - pavement > 3:
        _growth(stage, side, (start, end), (pavement + 1.2, front - 1), 0.14)


def _park(stage: Stage, side: int, start: float, end: float) -> None:
    pavement = stage.street.pavement
    if stage.rng.random() < 0.3:
        stage.add(end, furniture.fence, side, side * (pavement + 0.3), (start, end), 1.1)
    _growth(stage, side, (start, end), (pavement + 1.5, pavement + 25), 0.3)


def _walled(stage: Stage, side: int, start: float, end: float) -> None:
    """Place a high wall or fence with trees behind it."""
    pavement = stage.street.pavement
    draw = furniture.wall if stage.rng.random() < 0.6 else furniture.fence
    stage.add(end, draw, side, side * (pavement + 0.3), (start, end), 2.2)
    _growth(stage, side, (start, end), (pavement + 2, pavement + 18), 0.25)


def _growth(stage: Stage, side: int, z: tuple[float, float], x: tuple[float, float], density: float) -> None:
    """Place trees and bushes at random on a patch, ``density`` per meter of street."""
    rng = stage.rng
    for _ in range(rng.poisson(density * (z[1] - z[0]))):
        right, ahead = side * float(rng.uniform(*x)), float(rng.uniform(*z))
        if ahead < 2.5:
            continue
        order = z[1] + 0.1 + 0.2 * (ahead - z[0]) / (z[1] - z[0])  # after the house, before the fence
        if rng.random() < 0.6:
            stage.tree(right, ahead, float(rng.uniform(4, 11)), order)
        else:
            stage.add(order, plants.bush, right, ahead, float(rng.uniform(0.8, 2)), plants.random_leaf_color(rng))


_PLOTS = {"town": _house, "houses": _garden, "park": _park, "wall": _walled}
