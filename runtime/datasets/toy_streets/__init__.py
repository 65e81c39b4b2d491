"""Procedural street scenes with exact panoptic truth, for training, evaluation and demonstrations.

A scene is made from its seed alone: the same on every machine, to within the rounding of floating-point arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.datasets.toy_streets.classes import LABELS
from pem_edge.runtime.datasets.toy_streets.scene import scene

__all__ = ["LABELS", "ToyStreets", "scene"]

_STREAM = 1 << 32
"""How many scenes there are for one seed."""


class ToyStreets:
    """``count`` scenes of one size (pixels); those of different ``seed`` (0 and up) have no scene in common."""

    def __init__(self, count: int, height: int = 256, width: int = 512, seed: int = 0) -> None:
        self._count, self._size, self._first = min(count, _STREAM), (height, width), seed * _STREAM

    @property
    def labels(self) -> Sequence[Label]:
        """The classes of toy streets."""
        return LABELS

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Return scene ``index``, made anew each time. Raises IndexError unless 0 <= ``index`` < len."""
        if not 0 <= index < self._count:
            raise IndexError(f"there are {self._count} scenes, number {index} is not one of them")
        return replace(scene(self._first + index, *self._size), name=f"street_{index:06d}")
