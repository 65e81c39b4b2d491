"""Segments and instances: regions of an image with a class and a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label

Box = tuple[int, int, int, int]
"""Bounding box (x, y, width, height) in pixels, as in COCO."""


@dataclass(frozen=True, repr=False)
class Segment:
    """A region of a panoptic map.

    Example:
        >>> import pem_edge
        >>> result = pem_edge.load("demo")("demo:street")
        >>> largest = max(result.segments, key=lambda segment: segment.area)
        >>> largest.label, largest.isthing
        ('road', False)
        >>> mask = result.panoptic == largest.id
        >>> int(mask.sum()) == largest.area
        True

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
    bbox: Box

    def __repr__(self) -> str:
        return f"<Segment {self.id}: {self.label!r}, score {self.score:.2f}, area {self.area}, bbox {self.bbox}>"


@dataclass(frozen=True, repr=False)
class Instance:
    """A scored mask of one object. Instances of an image may overlap.

    Example:
        >>> import pem_edge
        >>> result = pem_edge.load("demo")("demo:street")
        >>> best = result.instances[0]
        >>> best.label, best.mask.shape
        ('car', (512, 1024))

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

    @cached_property
    def area(self) -> int:
        """Number of pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def bbox(self) -> Box:
        """Bounding box (x, y, width, height) of the mask in pixels, as in COCO; four zeros if it has no pixels."""
        return bounding_box(self.mask)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.mask.shape))
        return f"<Instance {self.label!r}, score {self.score:.2f}, area {self.area}, bbox {self.bbox}, mask {size}>"


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest box (x, y, width, height) around the pixels of a mask (H, W); four zeros if it has none."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return x, y, width, height


Region = TypeVar("Region", Segment, Instance)


def add_labels(regions: Sequence[Region], labels: Sequence[Label]) -> list[Region]:
    """Return copies of segments or instances with ``label`` set to the name of their class."""
    return [replace(region, label=labels[region.category_id].name) for region in regions]
