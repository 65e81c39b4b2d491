"""Segments and instances: regions of an image with a class and a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from pem_edge.runtime.artifacts.labels import Label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Segment:
    """A region of a panoptic map.

    Attributes:
        id: The value of its pixels in the panoptic map, 1 and up.
        category_id: The index of its class, 0 to K-1.
        label: The name of its class.
        isthing: Whether its class is a thing, whose instances are separate segments, or stuff.
        score: The probability of its class, 0 to 1.
        area: The number of its pixels.
        bbox: Its bounding box (x, y, width, height) in pixels, as in COCO.
    """

    id: int
    category_id: int
    label: str
    isthing: bool
    score: float
    area: int
    bbox: tuple[int, int, int, int]


@dataclass(frozen=True)
class Instance:
    """A scored mask of one object. Instances of an image may overlap.

    Attributes:
        category_id: The index of its class, 0 to K-1.
        label: The name of its class.
        score: The confidence, 0 to 1.
        mask: Whether each pixel belongs to it, bool (H, W).
    """

    category_id: int
    label: str
    score: float
    mask: NDArray[np.bool_]


Region = TypeVar("Region", Segment, Instance)


def add_labels(regions: Sequence[Region], labels: Sequence[Label]) -> list[Region]:
    """Return copies of segments or instances with ``label`` set to the name of their class."""
    return [replace(region, label=labels[region.category_id].name) for region in regions]
