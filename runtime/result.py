"""What a segmenter returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Segment:
    """One region of a panoptic map.

    ``id`` is its value in the map (1 and up), ``score`` the class probability (0 to 1), ``area`` in pixels,
    ``bbox`` (x, y, width, height) in pixels as COCO has it.
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
    """One scored object mask: ``mask`` is bool (H, W), ``score`` 0 to 1; instances may overlap."""

    category_id: int
    label: str
    score: float
    mask: NDArray[np.bool_]
