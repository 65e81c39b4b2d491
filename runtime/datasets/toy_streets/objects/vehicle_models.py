"""The shapes of cars, vans, trucks and buses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Profile = tuple[tuple[float, float], ...]
"""A side view from the rear bumper over the roof to the front bumper: (meters ahead of the middle, height)."""


@dataclass(frozen=True)
class Model:
    """A kind of vehicle, lengths in meters.

    ``glass`` are the stretches of the profile that are windows, ``side_glass`` is (from, to, bottom, top). Above the
    height ``waist`` the body narrows by ``taper``, a share of its half width per meter. ``wheels`` are their places
    along the body.
    """

    kind: str
    profile: Profile
    half: float
    glass: tuple[int, ...]
    side_glass: tuple[Profile, ...]
    waist: float
    taper: float
    wheels: tuple[float, ...]
    radius: float

    def half_at(self, y: float) -> float:
        """Return half the body's width in meters at a height."""
        return self.half * (1 - self.taper * max(0.0, y - self.waist))


def box(rear: float, front: float, bottom: float, top: float) -> Profile:
    """Return a rectangle."""
    return ((rear, bottom), (rear, top), (front, top), (front, bottom))


SEDAN = Model(
    "car",
    ((-2.2, 0.3), (-2.25, 0.6), (-2.15, 0.98), (-1.55, 1.03), (-0.85, 1.44), (0.35, 1.45), (1.05, 0.98), (2.0, 0.84),
     (2.22, 0.62), (2.22, 0.28)), 0.9, (3, 5),
    (((-1.35, 1.02), (-0.8, 1.37), (-0.15, 1.39), (-0.15, 1.0)),
     ((-0.05, 1.0), (-0.05, 1.39), (0.3, 1.38), (0.85, 0.99))),
    0.95, 0.42, (-1.35, 1.38), 0.32,
)  # fmt: skip
HATCH = Model(
    "car",
    ((-1.9, 0.3), (-1.98, 0.6), (-1.92, 0.95), (-1.6, 1.45), (-0.9, 1.53), (0.3, 1.5), (1.05, 1.02), (1.75, 0.88),
     (1.98, 0.62), (1.98, 0.28)), 0.87, (2, 5),
    (((-1.6, 1.0), (-1.4, 1.4), (-0.3, 1.43), (-0.3, 1.0)), ((-0.2, 1.0), (-0.2, 1.43), (0.25, 1.42), (0.85, 1.0))),
    0.95, 0.36, (-1.25, 1.25), 0.31,
)  # fmt: skip
SUV = Model(
    "car",
    ((-2.2, 0.4), (-2.3, 0.75), (-2.25, 1.1), (-2.05, 1.66), (-1.5, 1.75), (0.4, 1.73), (1.1, 1.18), (2.0, 1.05),
     (2.28, 0.8), (2.28, 0.36)), 0.97, (2, 5),
    (((-1.95, 1.15), (-1.8, 1.6), (-0.4, 1.63), (-0.4, 1.13)), ((-0.3, 1.13), (-0.3, 1.63), (0.35, 1.62), (0.9, 1.13))),
    1.1, 0.28, (-1.4, 1.42), 0.37,
)  # fmt: skip
VAN = Model(
    "car",
    ((-2.5, 0.35), (-2.55, 0.7), (-2.5, 1.25), (-2.4, 2.15), (-2.0, 2.3), (1.2, 2.28), (1.8, 1.35), (2.45, 1.1),
     (2.55, 0.7), (2.55, 0.32)), 1.0, (2, 5),
    (((0.45, 1.3), (0.45, 1.95), (1.15, 1.95), (1.55, 1.32)),), 1.3, 0.1, (-1.55, 1.65), 0.35,
)  # fmt: skip
CARGO = Model("truck", box(-4.4, 1.9, 0.85, 3.55), 1.22, (), (), 9, 0, (-3.3, -2.1), 0.5)
TIPPER = Model("truck", box(-3.4, 1.9, 0.95, 2.5), 1.2, (), (), 9, 0, (-2.3,), 0.5)
CAB = Model(
    "truck", ((2.1, 0.5), (2.1, 2.95), (3.9, 2.95), (4.2, 1.75), (4.25, 0.4)), 1.18, (2,),
    (((2.75, 1.75), (2.75, 2.6), (3.75, 2.6), (4.0, 1.75)),), 9, 0, (3.2,), 0.5,
)  # fmt: skip
BUS = Model(
    "bus", ((-5.4, 0.4), (-5.5, 1.45), (-5.4, 2.75), (-5.2, 3.05), (5.2, 3.05), (5.45, 2.9), (5.5, 1.2), (5.45, 0.35)),
    1.25, (1, 5), tuple(box(a, a + 1.55, 1.35, 2.5) for a in np.arange(-5.1, 4.6, 1.7)), 9, 0, (-2.9, 3.0), 0.5,
)  # fmt: skip
CARS = (SEDAN, SEDAN, HATCH, HATCH, SUV, VAN)
HEAVY = (CARGO, TIPPER, BUS)


def random_model(rng: np.random.Generator, heavy: float) -> Model:
    """Return some model, of a truck or bus in a share ``heavy`` of the cases."""
    models = HEAVY if rng.random() < heavy else CARS
    return models[int(rng.integers(len(models)))]
