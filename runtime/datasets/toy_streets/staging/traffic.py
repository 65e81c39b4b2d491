"""Who drives, parks and crosses."""

from __future__ import annotations

import math

from pem_edge.runtime.datasets.toy_streets.ground.street import SIDES, random_distance
from pem_edge.runtime.datasets.toy_streets.staging.stage import Stage


def place(stage: Stage) -> None:
    """Place everything on the road."""
    street = stage.street
    for side in SIDES:
        if street.parking:
            _parked(stage, side)
    for lane in (*range(-street.lanes, 0), *range(1, street.lanes + 1)):
        _lane(stage, lane)
    if street.crossing:
        _cross_traffic(stage, *street.crossing)
    _crossing_people(stage)


def _parked(stage: Stage, side: int) -> None:
    """Place cars along the curb."""
    street, rng = stage.street, stage.rng
    z, share = float(rng.uniform(3, 9)), rng.uniform(0.3, 0.9)
    while z < 65:
        if rng.random() < share and street.is_free(z - 4, z + 4):
            x = side * (street.curb - 1.15 + float(rng.uniform(-0.1, 0.1)))
            stage.vehicle(x, z, 0.0 if side > 0 or rng.random() < 0.2 else math.pi)
        z += float(rng.uniform(5.4, 6.8))


def _lane(stage: Stage, lane: int) -> None:
    """Place what drives in one lane, and cyclists at the edge of the outer ones."""
    street, rng = stage.street, stage.rng
    z, gap = float(rng.uniform(7, 40)), float(rng.choice([14, 28, 60]))
    while z < 75:
        x = street.lane(lane) + float(rng.uniform(-0.25, 0.25))
        if street.is_free(z - 3, z + 3):
            stage.vehicle(x, z, 0.0 if lane > 0 else math.pi, heavy=0.22)
        z += 8 + float(rng.exponential(gap))
    if abs(lane) == street.lanes:
        for _ in range(rng.poisson(0.5)):
            edge = math.copysign(street.lanes * street.lane_width - 0.3, lane)
            stage.rider(edge, random_distance(rng, 5, 40), sideways=False)


def _cross_traffic(stage: Stage, start: float, end: float) -> None:
    """Place vehicles on the street that crosses."""
    rng = stage.rng
    for share, way in ((0.28, 1), (0.72, -1)):
        x = float(rng.uniform(-30, 0))
        while x < 30:
            x += float(rng.uniform(6, 26))
            heavy = 0.25 if rng.random() < 0.7 else 0.0
            stage.vehicle(x, start + share * (end - start), way * math.pi / 2, heavy)


def _crossing_people(stage: Stage) -> None:
    """Place pedestrians and cyclists who cross the road."""
    street, rng = stage.street, stage.rng
    z = street.crossing[0] - 2 if street.crossing else float(rng.uniform(8, 35))
    for _ in range(rng.poisson(0.8)):
        stage.person(float(rng.uniform(-street.curb, street.curb)), z + float(rng.uniform(-1.2, 1.2)))
    for _ in range(rng.poisson(0.45)):
        x = float(rng.uniform(-street.pavement, street.pavement))
        stage.rider(x, random_distance(rng, 6, 28), sideways=True)
