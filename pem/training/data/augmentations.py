"""Augmentation: random views of a labeled image, flipped, scaled, cropped and with changed colors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pem_edge.pem.model import MEAN
from pem_edge.runtime.datasets.dataset import Sample

NO_SEGMENT = -1
"""Value of pixels without a segment, and of padding in lists of classes."""

_PADDING = tuple(round(value) for value in MEAN)
"""Color that padding has; it is 0 once normalized."""

# Ranges of the color changes of SSD (Liu et al., ECCV 2016), which Mask2Former uses.
_BRIGHTNESS = 32.0
_CONTRAST = _SATURATION = (0.5, 1.5)
_HUE_DEGREES = 18.0

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_RGB_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


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


def random_view(sample: Sample, size: tuple[int, int], scale: tuple[float, float], random: Generator) -> View:
    """Return a random view of ``sample``.

    Args:
        sample: A labeled image.
        size: Height and width of the view; an image that is too small is padded at the bottom and right.
        scale: Minimum and maximum factor by which the image is enlarged.
        random: The random generator, which alone determines the view.
    """
    factor = math.exp(random.uniform(math.log(scale[0]), math.log(scale[1])))
    rows, columns = (
        _crop_side(length, wanted, factor, random) for length, wanted in zip(sample.panoptic.shape, size, strict=True)
    )
    flip = bool(random.random() < 0.5)
    image = jitter_colors(_resize_image(sample.image[rows[0], columns[0]], (rows[1], columns[1])), random)
    ids = _resize_ids(sample.panoptic[rows[0], columns[0]], (rows[1], columns[1]))
    if flip:
        image, ids = image[:, ::-1], ids[:, ::-1]
    segment_map, classes = _number_segments(ids, sample)
    canvas = np.full((*size, 3), _PADDING, np.uint8)
    canvas[: rows[1], : columns[1]] = image
    padded = np.full(size, NO_SEGMENT, np.int16)
    padded[: rows[1], : columns[1]] = segment_map
    return View(canvas, padded, classes)


def jitter_colors(image: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Return ``image`` with brightness, contrast, saturation and hue changed at random, each with probability 1/2.

    All changes are linear, so they are combined into one 3x4 matrix that is applied to each pixel once.
    """
    matrix: NDArray[np.floating] = np.eye(3)
    offset: NDArray[np.floating] = np.zeros((3, 1))
    if random.random() < 0.5:
        offset += random.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    if random.random() < 0.5:
        contrast = random.uniform(*_CONTRAST)
        matrix, offset = matrix * contrast, offset * contrast
    if random.random() < 0.5:
        saturation = random.uniform(*_SATURATION)
        matrix = (saturation * np.eye(3) + (1 - saturation) * _LUMA[None]) @ matrix
    if random.random() < 0.5:
        matrix = _hue_rotation(random.uniform(-_HUE_DEGREES, _HUE_DEGREES)) @ matrix
    return cv2.transform(image, np.hstack([matrix, offset])).astype(np.uint8, copy=False)


def _hue_rotation(degrees: float) -> NDArray[np.floating]:
    """Return the 3x3 matrix that rotates RGB colors around the gray axis."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    in_rgb: NDArray[np.floating] = np.linalg.inv(_RGB_TO_YIQ) @ rotation @ _RGB_TO_YIQ
    return in_rgb


def _crop_side(length: int, wanted: int, factor: float, random: Generator) -> tuple[slice, int]:
    """Return which of the ``length`` pixels of a side to keep, and how many pixels to scale them to."""
    kept = min(length, max(1, round(wanted / factor)))
    start = int(random.integers(length - kept + 1))
    return slice(start, start + kept), min(wanted, max(1, round(kept * factor)))


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
    """Return the segment map of ``ids``, numbered from 0, and its segments' classes, without void and crowds."""
    present, indices = np.unique(ids, return_inverse=True)
    classes = {segment.id: segment.category_id for segment in sample.segments if not segment.iscrowd}
    kept = [segment_id for segment_id in present.tolist() if segment_id in classes]
    numbers = {segment_id: number for number, segment_id in enumerate(kept)}
    table = np.array([numbers.get(segment_id, NO_SEGMENT) for segment_id in present.tolist()], np.int16)
    return table[indices.reshape(ids.shape)], np.array([classes[segment_id] for segment_id in kept], np.int64)
