"""Classes of label maps, by the values or colors that stand for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.suggestions import no_such

VOID, UNKNOWN = -1, -2
"""What stands for no class on purpose, and what stands for nothing."""

VOID_VALUE = 255
"""The value that is void unless a class has it."""

_VOID_NAMES = {"void", "unlabeled", "unlabelled", "ignore", "ignored"}

_USUAL_THINGS = {
    *("pedestrian", "bicyclist", "cyclist", "motorcyclist", "people", "human", "child", "animal", "vehicle", "van"),
    *("bike", "motorbike", "scooter", "suvpickuptruck", "truckbus", "motorcyclescooter", "cartluggagepram"),
}
"""Plain names of things in addition to those of Cityscapes and COCO; the last four are CamVid's."""


@dataclass(frozen=True)
class ClassTable:
    """The classes of label maps.

    Attributes:
        source: The name of what lists them, for messages.
        names: The name of each value, from 0 on.
        colors: The RGB color of each value; empty if they have none.
    """

    source: str
    names: Sequence[str]
    colors: Sequence[tuple[int, int, int]]

    def __post_init__(self) -> None:
        named = [name for name in self.names if not is_void(name)]
        if not named:
            raise InputError(f"{self.source} has no classes, expected a name a line: write their names into it")
        _refuse_duplicates(named, f"{self.source} has the class", "give each class a name of its own")
        voids = {color for name, color in zip(self.names, self.colors, strict=False) if is_void(name)}
        colors = [color for name, color in zip(self.names, self.colors, strict=False) if not is_void(name)]
        _refuse_duplicates([*voids, *colors], f"{self.source} has the color", "give each class a color of its own")

    @cached_property
    def indices(self) -> NDArray[np.int32]:
        """The class of each value, `VOID` or `UNKNOWN`, int32."""
        found: NDArray[np.int32] = np.full(max(len(self.names), VOID_VALUE + 1), UNKNOWN, np.int32)
        found[VOID_VALUE] = VOID
        voids = np.array([is_void(name) for name in self.names])
        found[: len(voids)] = np.where(voids, VOID, np.cumsum(~voids) - 1)
        return found

    def labels(self, things: Sequence[str] | None) -> tuple[Label, ...]:
        """Return the classes, of which ``things`` are things; if None, those that have usual names of things.

        Raises:
            InputError: If one of ``things`` is no class.
        """
        kept = [value for value, name in enumerate(self.names) if not is_void(name)]
        names = [self.names[value] for value in kept]
        wanted = None if things is None else _require_known(things, names)
        colors = [self.colors[value] for value in kept] if self.colors else map(labels.distinct_color, range(len(kept)))
        return tuple(
            Label(index, name, is_usual_thing(name) if wanted is None else labels.plain_name(name) in wanted, color)
            for index, (name, color) in enumerate(zip(names, colors, strict=False))
        )


def is_void(name: str) -> bool:
    """Return whether a name says that pixels have no class."""
    return labels.plain_name(name) in _VOID_NAMES


def is_usual_thing(name: str) -> bool:
    """Return whether a name is one of countable things, in the singular or the plural with an s."""
    plain = labels.plain_name(name)
    return not {plain, plain.removesuffix("s")}.isdisjoint(_usual_things())


@lru_cache(maxsize=1)
def _usual_things() -> frozenset[str]:
    known = (label for name in ("cityscapes", "coco_panoptic") for label in labels.load(name) if label.isthing)
    return frozenset(_USUAL_THINGS.union(labels.plain_name(label.name) for label in known))


def _require_known(things: Sequence[str], names: Sequence[str]) -> set[str]:
    plain = {labels.plain_name(name) for name in names}
    for thing in things:
        if labels.plain_name(thing) not in plain:
            raise InputError(f"--things: {no_such(thing, names)}")
    return {labels.plain_name(thing) for thing in things}


def _refuse_duplicates(values: Iterable[object], says: str, cure: str) -> None:
    seen = set[object]()
    for value in values:
        if value in seen:
            raise InputError(f"{says} {brief(value)} twice, expected once: {cure}")
        seen.add(value)
