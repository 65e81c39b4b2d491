"""Segments and instances: the parts of an image that a model names."""

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
    """One region of a panoptic map.

    Attributes:
        id: Its value in the map, 1 and up.
        category_id: Its class.
        label: The name of its class.
        isthing: Whether its class is countable (a thing) or not (stuff).
        score: Its class probability, 0 to 1.
        area: Its size in pixels.
        bbox: Its box in pixels as (x, y, width, height), as COCO has it.
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
    """One scored object mask. Instances of an image may overlap.

    Attributes:
        category_id: Its class.
        label: The name of its class.
        score: Its confidence, 0 to 1.
        mask: Its pixels, bool (H, W).
    """

    category_id: int
    label: str
    score: float
    mask: NDArray[np.bool_]


Named = TypeVar("Named", Segment, Instance)


def named(items: Sequence[Named], labels: Sequence[Label]) -> list[Named]:
    """Return the segments or instances with ``label`` set to the name of their class."""
    return [replace(item, label=labels[item.category_id].name) for item in items]
