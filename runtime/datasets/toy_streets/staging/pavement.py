"""Who walks and what stands on the pavements."""

from __future__ import annotations

from collections.abc import Callable

from pem_edge.runtime.datasets.toy_streets.ground.street import random_distance
from pem_edge.runtime.datasets.toy_streets.objects import furniture
from pem_edge.runtime.datasets.toy_streets.staging.stage import Stage


def place(stage: Stage, side: int) -> None:
    """Fill the pavement of one side."""
    _walkers(stage, side)
    edge = side * (stage.street.curb + 0.4)
    _rows(stage, edge)
    _signs(stage, edge)
    _signals(stage, edge)


def _walkers(stage: Stage, side: int) -> None:
    """Place pedestrians, alone or in pairs."""
    street, rng = stage.street, stage.rng
    for _ in range(rng.poisson(rng.choice([0.8, 2.5, 5]))):
        x = side * float(rng.uniform(street.curb + street.lawn + 0.5, street.pavement - 0.2))
        z = random_distance(rng, 5, 45)
        for step in range(int(rng.integers(1, 3)) if street.is_free(z, z) else 0):
            stage.person(x + side * 0.6 * step, z + 0.2 * step)


def _rows(stage: Stage, edge: float) -> None:
    """Place lamps, and perhaps trees or bollards, at even distances."""
    rng = stage.rng
    spacing = float(rng.uniform(20, 32))
    _repeat(stage, float(rng.uniform(4, spacing)), spacing, 70, lambda z: stage.add(z, furniture.lamp_post, edge, z))
    if rng.random() < 0.4 and stage.street.pavement - stage.street.curb > 2:
        start, step = float(rng.uniform(6, 14)), float(rng.uniform(8, 14))
        _repeat(stage, start, step, 80, lambda z: stage.tree(edge * 1.05, z, float(rng.uniform(4.5, 8))))
    if rng.random() < 0.15:
        _repeat(stage, 5.0, 2.5, 25, lambda z: stage.add(z, furniture.bollard, edge, z))


def _signs(stage: Stage, edge: float) -> None:
    rng = stage.rng
    for _ in range(rng.poisson(1.5)):
        z = random_distance(rng, 6, 36)
        if stage.street.is_free(z, z):
            stage.add(z, furniture.traffic_sign, edge, z)


def _signals(stage: Stage, edge: float) -> None:
    """Place traffic lights at a crossing, or at some spot for pedestrians."""
    rng, crossing = stage.rng, stage.street.crossing
    if crossing:
        stage.add(crossing[0] - 1, furniture.traffic_light, edge, crossing[0] - 1)
        if rng.random() < 0.6:
            stage.add(crossing[1] + 1, furniture.traffic_light, edge, crossing[1] + 1)
    elif rng.random() < 0.25:
        z = random_distance(rng, 8, 30)
        stage.add(z, furniture.traffic_light, edge, z)


def _repeat(stage: Stage, z: float, step: float, end: float, place_at: Callable[[float], None]) -> None:
    while z < end:
        if stage.street.is_free(z - 1, z + 1):
            place_at(z)
        z += step
