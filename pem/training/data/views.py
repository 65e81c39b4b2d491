"""Random views of a labeled image: scaled, cropped, flipped and with changed colors."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pem_edge.pem.model import MEAN
from pem_edge.pem.training.data.appearance import jitter_colors
from pem_edge.pem.training.settings import Augmentation
from pem_edge.runtime.datasets import id_runs
from pem_edge.runtime.datasets.dataset import Sample

MAX_SEGMENTS = 1000
"""Limit on the segments of a view, several times as many as models have queries; each takes memory."""

NO_SEGMENT = -1
"""Value of pixels without a segment, and of padding in lists of classes."""

_PADDING = tuple(round(value) for value in MEAN)
"""Color that padding has; it is 0 once normalized."""


@dataclass(frozen=True)
class View:
    """A view of a labeled image, for training. Every segment has at least one pixel.

    Attributes:
        image: RGB uint8 (H, W, 3).
        segment_map: Number of the segment that each pixel belongs to, or `NO_SEGMENT`, int16 (H, W).
        classes: Class of each segment, int64 (S).
    """

    image: NDArray[np.uint8]
    segment_map: NDArray[np.int16]
    classes: NDArray[np.int64]


def random_view(
    sample: Sample,
    size: tuple[int, int],
    scale: tuple[float, float],
    random: Generator,
    augmentations: Collection[Augmentation] = ("flip", "color"),
) -> View:
    """Return a random view of ``sample``.

    Args:
        sample: A labeled image.
        size: Height and width of the view; an image that is too small lies somewhere in it, with padding around.
        scale: Minimum and maximum factor by which the image is enlarged.
        random: The random generator, which alone determines the view.
        augmentations: Whether to "flip" it at random, and to change its "color"; others are none of this function's.
    """
    factor = math.exp(random.uniform(math.log(scale[0]), math.log(scale[1])))
    (rows, above), (columns, left) = (
        _crop_side(length, wanted, factor, random) for length, wanted in zip(sample.panoptic.shape, size, strict=True)
    )
    seen, filled = (rows, columns), (above, left)
    shape = (above.stop - above.start, left.stop - left.start)
    # Drawn even if it is not used, and colors last, so that neither has a say in what the other does.
    flip = bool(random.random() < 0.5) and "flip" in augmentations
    image, ids = _resize_image(sample.image[seen], shape), _resize_ids(sample.panoptic[seen], shape)
    if "color" in augmentations:
        image = jitter_colors(image, random)
    if flip:
        image, ids = image[:, ::-1], ids[:, ::-1]
    canvas, padded = np.full((*size, 3), _PADDING, np.uint8), np.full(size, NO_SEGMENT, np.int16)
    canvas[filled] = image
    padded[filled], classes = _number_segments(ids, sample)
    return View(canvas, padded, classes)


def _crop_side(length: int, wanted: int, factor: float, random: Generator) -> tuple[slice, slice]:
    """Return which of the ``length`` pixels of a side to keep, and which of the ``wanted`` ones they are scaled to."""
    kept = min(length, max(1, round(wanted / factor)))
    start = int(random.integers(length - kept + 1))
    filled = min(wanted, max(1, round(kept * factor)))
    first = int(random.integers(wanted - filled + 1)) if kept == length else 0  # a crop may miss a pixel by rounding
    return slice(start, start + kept), slice(first, first + filled)


def _resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = size[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=method).astype(np.uint8, copy=False)


def _resize_ids(ids: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    """Return ``ids`` at another size: each new pixel takes the value at its center."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(ids.shape, size, strict=True)
    )
    resized: NDArray[np.int32] = ids[rows[:, None], columns]
    return resized


def _number_segments(ids: NDArray[np.int32], sample: Sample) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Return the segment map of ``ids``, numbered from 0, and its segments' classes, without void and crowds.

    Of too many segments, as maps full of noise have them, the largest are kept.
    """
    present, indices = id_runs.unique(ids)
    classes = {segment.id: segment.category_id for segment in sample.segments if not segment.iscrowd}
    kept = [segment_id for segment_id in present.tolist() if segment_id in classes]
    if len(kept) > MAX_SEGMENTS:
        areas = dict(zip(present.tolist(), np.bincount(indices.ravel()).tolist(), strict=True))
        kept = sorted(sorted(kept, key=lambda segment_id: -areas[segment_id])[:MAX_SEGMENTS])
    numbers = {segment_id: number for number, segment_id in enumerate(kept)}
    table = np.array([numbers.get(segment_id, NO_SEGMENT) for segment_id in present.tolist()], np.int16)
    return table[indices], np.array([classes[segment_id] for segment_id in kept], np.int64)
