"""The plan of a street: how wide it is, what lines it, where another street crosses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAR = 130.0
"""Where a street ends, in meters."""

SIDES = (-1, 1)
"""The left and the right side, as signs of x."""

Crossing = tuple[float, float]


@dataclass(frozen=True)
class Street:
    """Distances in meters from the road's middle: ``curb``, end of the ``pavement``, and ``front`` of the buildings.

    ``lanes`` each way; ``parking``: a lane beside the curb is for parked cars; ``lawn``: width of the grass between
    curb and pavement; ``verge``: per side, of the ground between the pavement and the buildings; ``lining``: per side,
    one of LININGS; ``crossing``: from where to where another street crosses, or None.
    """

    lanes: int
    lane_width: float
    parking: bool
    lawn: float
    pavement_width: float
    verge: tuple[float, float]
    lining: tuple[str, str]
    crossing: Crossing | None

    @property
    def curb(self) -> float:
        """The distance of the curbs from the road's middle, in meters."""
        return self.lanes * self.lane_width + (2.3 if self.parking else 0.4)

    @property
    def pavement(self) -> float:
        """The distance of the pavements' outer edges from the road's middle, in meters."""
        return self.curb + self.lawn + self.pavement_width

    def front(self, side: int) -> float:
        """Return distance of the buildings' fronts on a side."""
        return self.pavement + self.verge[side > 0]

    def lane(self, number: int) -> float:
        """Return the middle of a lane; lanes count from 1 on the right of the road's middle, from -1 on its left."""
        return (abs(number) - 0.5) * self.lane_width * (1 if number > 0 else -1)

    def is_free(self, start: float, end: float) -> bool:
        """Return whether nothing crosses between two distances."""
        return self.crossing is None or end < self.crossing[0] or start > self.crossing[1]


def random_distance(rng: np.random.Generator, near: float, far: float) -> float:
    """Return a distance at random, more often near than far."""
    return float(near + (far - near) * rng.random() ** 1.5)


LININGS = {"town": 0.5, "houses": 0.27, "park": 0.15, "wall": 0.08}
"""What can line a side, and how often: house beside house, houses in gardens, trees, a long wall or fence."""


def random_street(rng: np.random.Generator) -> Street:
    """Return some street."""
    linings = [str(rng.choice(list(LININGS), p=list(LININGS.values()))) for _ in SIDES]
    verges = [0.0 if lining == "town" else float(rng.uniform(2.5, 13)) for lining in linings]
    start = float(rng.uniform(14, 50))
    return Street(
        lanes=int(rng.choice([1, 1, 2])),
        lane_width=float(rng.uniform(2.9, 3.6)),
        parking=bool(rng.random() < 0.6),
        lawn=float(rng.uniform(1.2, 2.5)) if rng.random() < 0.3 else 0.0,
        pavement_width=float(rng.uniform(1.6, 4.2)),
        verge=(verges[0], verges[1]),
        lining=(linings[0], linings[1]),
        crossing=(start, start + float(rng.uniform(7, 11))) if rng.random() < 0.35 else None,
    )
