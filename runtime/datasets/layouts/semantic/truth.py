"""Panoptic truth of label maps: stuff as it is, and an instance for each connected region of a thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import TrueSegment
from pem_edge.runtime.datasets.layouts.labeled_images import Truth
from pem_edge.runtime.datasets.layouts.semantic import label_maps
from pem_edge.runtime.datasets.layouts.semantic.class_table import ClassTable
from pem_edge.runtime.datasets.map_files import Map
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.plurals import first_few

_MOST_REGIONS = 10_000
"""Number of regions of a class in a map above which it is noise."""


@dataclass(frozen=True)
class SemanticTruth:
    """A reader of label maps.

    Attributes:
        table: The classes.
        things: The indices of those that are things.
    """

    table: ClassTable
    things: frozenset[int]

    def __call__(self, path: Path, size: tuple[int, int]) -> Truth:
        """Return the truth of a map, see `TruthReader`."""
        return _to_panoptic(self.classes(path, size), self.things, path)

    def classes(self, path: Path, size: tuple[int, int]) -> Map:
        """Return the class of every pixel, see `label_maps.read`."""
        return label_maps.read(path, size, self.table)


def note(classes: Sequence[Label]) -> str:
    """Return a sentence on what label maps do not tell."""
    things = [label.name for label in classes if label.isthing]
    if not things:
        return "none of the classes is a thing: all are stuff, unless --things names some"
    return (
        f"the maps tell classes, not instances: each connected region of a thing ({first_few(things)}) is taken for an "
        "instance, so that what touches is one"
    )


def _to_panoptic(classes: Map, things: frozenset[int], path: Path) -> Truth:
    """Return the truth of classes (H, W), of which -1 is void. ``path`` is for messages."""
    panoptic, segments = np.zeros(classes.shape, np.int32), list[TrueSegment]()
    for index in np.flatnonzero(np.bincount(classes.ravel() + 1)[1:]).tolist():
        mask = classes == index
        count, regions = _regions(mask, path) if index in things else (1, mask.astype(np.int32))
        panoptic[mask] = regions[mask] + len(segments)
        segments += [TrueSegment(len(segments) + number, index) for number in range(1, count + 1)]
    return panoptic, segments


def _regions(mask: NDArray[np.bool_], path: Path) -> tuple[int, Map]:
    """Return the number of regions whose pixels touch, if only by a corner, and the number of each pixel, 1 and up."""
    count, regions = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    if count - 1 > _MOST_REGIONS:
        raise InputError(
            f"{path} has {count - 1} separate regions of one class of things, at most {_MOST_REGIONS} make sense: give "
            "a map without noise, or leave the class out of --things"
        )
    return count - 1, np.asarray(regions, np.int32)
