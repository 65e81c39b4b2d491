"""A dataset of images and maps in files, which are read on access."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from pem_edge.runtime import images
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.datasets.layouts.pairing import Pairs
from pem_edge.runtime.datasets.map_files import Map
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief

Truth: TypeAlias = "tuple[Map, Sequence[TrueSegment]]"
"""A map of segment ids, of which 0 is void, and its segments."""

_LONGEST_NAME = 200

Kind: TypeAlias = "tuple[int, bool] | None"
"""The class of a map's value and whether it is a crowd; None for void."""


class TruthReader(Protocol):
    """The reader of a layout's maps."""

    def __call__(self, path: Path, size: tuple[int, int]) -> Truth:
        """Return what a map says of its image, whose height and width are ``size``. Raises InputError."""


class LabeledImages:
    """Pairs of images and maps, of which only the names are kept.

    Raises InputError if a class has no name of its own. Accessing a sample raises it if its image or map is damaged,
    their sizes differ, or the map has a value that stands for no class.

    Attributes:
        labels: The classes.
        notes: What a user should know about the dataset, a sentence each.
    """

    def __init__(
        self, labels: Sequence[Label], pairs: Pairs, read_truth: TruthReader, notes: Sequence[str] = ()
    ) -> None:
        _require_names(labels)
        self.labels, self.notes = labels, (*notes, *pairs.notes)
        self._pairs, self._read_truth = pairs, read_truth

    @property
    def names(self) -> Sequence[str]:
        """The paths of the images."""
        return [str(self._pairs.images / image) for image, _ in self._pairs.names]

    def __len__(self) -> int:
        return len(self._pairs.names)

    def __getitem__(self, index: int) -> Sample:
        image_name, map_name = self._pairs.names[index]
        path = self._pairs.images / image_name
        image = images.read(path)
        panoptic, segments = self._read_truth(self._pairs.maps / map_name, image.shape[:2])
        return Sample(str(path), image, panoptic, segments)


def _require_names(labels: Sequence[Label]) -> None:
    """Raise InputError unless each class has a name, which no other has, that can be written in a line."""
    seen: set[str] = set()
    for label in labels:
        if not 1 <= len(label.name.strip()) <= _LONGEST_NAME or "\0" in label.name:
            raise InputError(
                f"the class {label.id} of the dataset is called {brief(label.name)}, expected a name of 1 to "
                f"{_LONGEST_NAME} characters: correct the list of classes"
            )
        if label.name in seen:
            raise InputError(f"two classes of the dataset are called {brief(label.name)}: give each a name of its own")
        seen.add(label.name)


def to_segments(values: Map, classify: Callable[[int], Kind]) -> Truth:
    """Return the truth that a map of values tells, each of which is a segment.

    Args:
        values: The value of each pixel, int32 (H, W), 0 and up; not far above 16 bits, as a table has all up to
            the largest.
        classify: Returns what a value stands for.
    """
    present = np.flatnonzero(np.bincount(values.ravel())).tolist()
    ids, segments = np.zeros((present[-1] if present else 0) + 1, np.int32), list[TrueSegment]()
    for value in present:
        if (kind := classify(value)) is not None:
            ids[value] = len(segments) + 1
            segments.append(TrueSegment(len(segments) + 1, *kind))
    return ids[values], segments
