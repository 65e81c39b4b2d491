"""Labeled images: what evaluation, training and calibration read, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pem_edge.runtime.artifacts.labels import Label


@dataclass(frozen=True)
class TrueSegment:
    """One region of a true panoptic map; ``category_id`` is the class index, 0 to K-1.

    Of a crowd (``iscrowd``) the single instances are unknown: what lies in it is neither right nor wrong.
    """

    id: int
    category_id: int
    iscrowd: bool = False


@dataclass(frozen=True)
class Sample:
    """An image, RGB uint8 (H, W, 3), and its truth: ``panoptic`` int32 (H, W), 0 is void, and its segments."""

    name: str
    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: Sequence[TrueSegment]


class Dataset(Protocol):
    """Samples by number, made or read when asked for, and the classes they are labeled with."""

    @property
    def labels(self) -> Sequence[Label]:
        """The classes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...
