"""The regions of a result: a map of ids and its segments, so that results of all tasks are drawn and counted alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results.segments import Instance, Segment, bounding_box


@dataclass(frozen=True, eq=False)
class Regions:
    """A map of ids and its segments.

    Attributes:
        ids: The id of the segment at each pixel, int32 (H, W); 0 for none.
        segments: The segments, all of which have pixels.
        numbers: The numbers of things that `Continuity` gave them, by task.
    """

    ids: NDArray[np.int32]
    segments: Sequence[Segment]
    numbers: dict[str, Mapping[int, int]] = field(default_factory=dict)


class TrueRegion(Protocol):
    """A segment of a ground-truth map."""

    @property
    def id(self) -> int:
        """The value of its pixels in the map, 1 and up."""

    @property
    def category_id(self) -> int:
        """The index of its class, 0 to K-1."""


def of_truth(panoptic: NDArray[np.int32], truth: Sequence[TrueRegion], labels: Sequence[Label]) -> Regions:
    """Return a region for each segment of a ground-truth map, int32 (H, W), that has pixels. Their score is 1."""
    segments = []
    for region in truth:
        mask = panoptic == region.id
        if area := int(np.count_nonzero(mask)):
            label = labels[region.category_id]
            box = bounding_box(mask)
            segments.append(Segment(region.id, label.id, label.name, label.isthing, 1.0, area, box))
    return Regions(panoptic, segments)


def of_classes(semantic: NDArray[np.int32], labels: Sequence[Label]) -> Regions:
    """Return a region for each class that a semantic map, int32 (H, W), has; its id is the class's index plus 1.

    All are drawn as stuff. Their score is 1, as a semantic map has none.
    """
    areas = np.bincount(semantic.ravel(), minlength=len(labels))
    segments = [
        Segment(index + 1, index, labels[index].name, False, 1.0, int(areas[index]), bounding_box(semantic == index))
        for index in np.flatnonzero(areas).tolist()
    ]
    return Regions(semantic + 1, segments)


def of_instances(instances: Sequence[Instance], size: tuple[int, int]) -> Regions:
    """Return a region for each instance that is visible where those of higher score cover the others.

    The area and the box of a region are those of its visible pixels. Its id is the instance's number from 1.

    Args:
        instances: The instances, by descending score.
        size: The height and width of their masks.
    """
    ids = np.zeros(size, np.int32)
    for number in range(len(instances), 0, -1):
        ids[instances[number - 1].mask] = number
    areas = np.bincount(ids.ravel(), minlength=len(instances) + 1)
    segments = [
        Segment(
            id=number,
            category_id=instance.category_id,
            label=instance.label,
            isthing=True,
            score=instance.score,
            area=int(areas[number]),
            bbox=bounding_box(ids == number),
        )
        for number, instance in enumerate(instances, 1)
        if areas[number]
    ]
    return Regions(ids, segments)
