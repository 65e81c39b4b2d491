"""Lane lines and other markings painted on the road."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.toy_streets.ground.ground import strip
from pem_edge.runtime.datasets.toy_streets.ground.street import FAR, Street
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter

Stretch = tuple[float, float]
"""From where to where along the street, in meters."""


def draw(painter: Painter, rng: np.random.Generator, street: Street) -> None:
    """Paint lines between the lanes and along the edges, and zebra crossings."""
    faded, width = rng.uniform(0.6, 1), rng.uniform(0.06, 0.1)
    dashed = [0.0] if street.lanes == 1 else [-street.lane_width, street.lane_width]
    lines = _lines(dashed, _dashes(rng, street), width)
    whole = [-0.15, 0.15] if street.lanes == 2 else []
    if not street.parking and rng.random() < 0.5:
        whole += [-street.curb + 0.4, street.curb - 0.4]
    lines += _lines(whole, _between_crossings(street), width)
    for line in [*lines, *_zebra(rng, street)]:
        painter.polygons(line[None], (225 * faded, 225 * faded, 215 * faded), painter.light.sunlight(0, 1, 0))


def _lines(places: list[float], stretches: list[Stretch], half: float) -> list[NDArray[np.float64]]:
    """Return lines of half a width ``half`` at some distances from the road's middle."""
    return [strip(x - half, x + half, *stretch) for x in places for stretch in stretches]


def _dashes(rng: np.random.Generator, street: Street) -> list[Stretch]:
    period = rng.uniform(5, 9)
    starts = np.arange(rng.uniform(0, period) - 2, 70, period)
    dashes = [(max(float(z), 0.7), float(z) + 0.45 * period) for z in starts]
    return [(start, end) for start, end in dashes if end > 1 and street.is_free(start, end)]


def _between_crossings(street: Street) -> list[Stretch]:
    if street.crossing is None:
        return [(0.7, FAR)]
    return [(0.7, street.crossing[0] - 4), (street.crossing[1] + 4, FAR)]


def _zebra(rng: np.random.Generator, street: Street) -> list[NDArray[np.float64]]:
    """Return a zebra crossing before a crossing, or sometimes anywhere."""
    if street.crossing:
        start = street.crossing[0] - 3.6
    elif rng.random() < 0.2:
        start = rng.uniform(8, 30)
    else:
        return []
    return [strip(x, x + 0.55, start, start + 3) for x in np.arange(-street.curb + 0.5, street.curb - 0.5, 1.1)]
