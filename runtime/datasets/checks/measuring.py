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
from pem_edge.runtime.datasets.id_runs import Runs
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
    runs = Runs(sample.panoptic)
    _require_listed(sample, runs.ids, len(classes))
    pixels = np.bincount(runs.positions, runs.lengths).astype(int)
    areas = dict(zip(runs.ids.tolist(), pixels.tolist(), strict=True))
    return Measured(
        name=sample.name,
        size=size,
        segments=sample.segments,
        areas=[areas.get(segment.id, 0) for segment in sample.segments],
        pixels=_digest(np.array(size), sample.image),
        truth=_digest_truth(runs, sample.segments),
        look=twins.difference_hash(sample.image),
    )


def _digest_truth(runs: Runs, segments: Sequence[TrueSegment]) -> bytes:
    """Return a digest of where segments begin and of their classes; ids are numbered as they occur."""
    order = np.argsort(np.unique(runs.positions, return_index=True)[1])
    classes = {segment.id: segment.category_id for segment in segments}
    listed = [classes.get(segment_id, -1) for segment_id in runs.ids[order].tolist()]
    return _digest(runs.starts, np.argsort(order)[runs.positions], np.array(listed))


def _require_listed(sample: Sample, ids: NDArray[np.int32], num_classes: int) -> None:
    strangers = set(ids.tolist()) - {0, *(segment.id for segment in sample.segments)}
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
