"""Collects the objects of a street, then paints them from far to near."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from pem_edge.runtime.datasets.toy_streets.ground.shadows import Shadow
from pem_edge.runtime.datasets.toy_streets.ground.street import Street
from pem_edge.runtime.datasets.toy_streets.objects import people, plants, vehicle_models, vehicles
from pem_edge.runtime.datasets.toy_streets.painting.painter import Painter


class Stage:
    """Things with their distances, and the ``shadows`` they cast on the ground."""

    def __init__(self, painter: Painter, rng: np.random.Generator, street: Street) -> None:
        self.rng, self.street = rng, street
        self.shadows: list[Shadow] = []
        self._painter = painter
        self._items: list[tuple[float, Callable[[], None]]] = []

    def add(self, z: float, draw: Callable[..., None], *arguments: object, **options: object) -> None:
        """Have ``draw(painter, rng, ...)`` paint something, ordered by its distance ``z``."""
        self._items.append((z, partial(draw, self._painter, self.rng, *arguments, **options)))

    def paint(self) -> None:
        """Paint everything, what is far first."""
        for _, item in sorted(self._items, key=lambda pair: -pair[0]):
            item()

    def tree(self, x: float, z: float, height: float, order: float | None = None) -> None:
        """Place a tree, which is painted as if it stood at the distance ``order``."""
        self.add(z if order is None else order, plants.tree, x, z, height, plants.random_leaf_color(self.rng))
        self.shadows.append((x, z, 0.22 * height, 0.2 * height))

    def person(self, x: float, z: float) -> None:
        """Place a pedestrian."""
        self.add(z, people.person, x, z)
        self.shadows.append((x, z, 0.3, 0.25))

    def rider(self, x: float, z: float, *, sideways: bool) -> None:
        """Place a cyclist who rides along the street or, ``sideways``, across it."""
        self.add(z, people.rider, x, z, sideways=sideways)
        self.shadows.append((x, z, 0.9, 0.25) if sideways else (x, z, 0.25, 0.8))

    def vehicle(self, x: float, z: float, heading: float, heavy: float = 0.0) -> None:
        """Place a car or, in a share ``heavy`` of the cases, a truck or bus.

        ``heading`` is in radians; 0 is straight ahead.
        """
        model = vehicle_models.random_model(self.rng, heavy if z > 14 else 0.0)
        along = abs(np.cos(heading)) > 0.7
        self.add(z - (1 if along else 0), vehicles.draw, model, x, z, heading + float(self.rng.normal(0, 0.02)))
        half = 0.15 - model.profile[0][0]
        self.shadows.append((x, z, model.half + 0.1, half) if along else (x, z, half, model.half + 0.1))
