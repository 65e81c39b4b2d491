"""What is kept of a sample once its arrays are gone: sizes, areas, hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.checks import twins
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.errors import InputError

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Measured:
    """What is known of a sample.

    Attributes:
        name: The sample's name.
        size: The image's height and width in pixels.
        segments: The segments.
        areas: The pixels of each segment.
        pixels: A digest of the image.
        truth: A digest of the classes and borders of its segments, whatever their ids.
        look: The image's perceptual hash.
    """

    name: str
    size: tuple[int, int]
    segments: Sequence[TrueSegment]
    areas: Sequence[int]
    pixels: bytes
    truth: bytes
    look: int


def measure(sample: Sample, classes: Sequence[Label]) -> Measured:
    """Measure a sample.

    Raises:
        InputError: If its map has another size than its image, or contradicts its segments or the ``classes``.
    """
    size = (sample.image.shape[0], sample.image.shape[1])
    if sample.panoptic.shape != size:
        found, expected = ("x".join(map(str, shape)) for shape in (sample.panoptic.shape, size))
        raise InputError(f"{sample.name} is {expected} and its map {found}, expected the same size: give its own map")
    runs = _Runs(sample.panoptic)
    _require_listed(sample, runs, len(classes))
    return Measured(
        name=sample.name,
        size=size,
        segments=sample.segments,
        areas=[runs.areas.get(segment.id, 0) for segment in sample.segments],
        pixels=_digest(np.array(size), sample.image),
        truth=runs.digest(sample.segments),
        look=twins.difference_hash(sample.image),
    )


class _Runs:
    """The runs of equal ids in a panoptic map, (H, W), of which there are far fewer than pixels.

    Attributes:
        areas: The number of pixels of each id.
    """

    def __init__(self, panoptic: NDArray[np.int32]) -> None:
        flat = panoptic.ravel()
        self._starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1))
        self._ids, self._first, self._which = np.unique(flat[self._starts], return_index=True, return_inverse=True)
        lengths = np.diff(self._starts, append=flat.size)
        areas = np.bincount(self._which, lengths, len(self._ids)).astype(int)
        self.areas = dict(zip(self._ids.tolist(), areas.tolist(), strict=True))

    def digest(self, segments: Sequence[TrueSegment]) -> bytes:
        """Return a digest of where segments begin and of their classes; ids are numbered as they occur."""
        order = np.argsort(self._first)
        classes = {segment.id: segment.category_id for segment in segments}
        listed = [classes.get(segment_id, -1) for segment_id in self._ids[order].tolist()]
        return _digest(self._starts, np.argsort(order)[self._which], np.array(listed))


def _require_listed(sample: Sample, runs: _Runs, num_classes: int) -> None:
    strangers = runs.areas.keys() - {0, *(segment.id for segment in sample.segments)}
    if strangers:
        raise InputError(f"{sample.name} has the id {min(strangers)} in its map, which no segment has: list it")
    for segment in sample.segments:
        if not 0 <= segment.category_id < num_classes:
            raise InputError(
                f"{sample.name} has a segment of class {segment.category_id}, expected 0 to {num_classes - 1}: "
                "correct its class"
            )


def _digest(*arrays: NDArray[np.generic]) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
