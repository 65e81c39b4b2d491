"""Random views of a labeled image: flipped, scaled, cropped, its colors changed."""

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
_PADDING = tuple(round(value) for value in MEAN)

_BRIGHTNESS = 32.0
_CONTRAST = _SATURATION = (0.5, 1.5)
_HUE_DEGREES = 18.0
"""How far colors go, as in SSD (Liu et al., 2016), whose changes Mask2Former uses."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


@dataclass(frozen=True)
class View:
    """What a model is trained on.

    ``image`` RGB uint8 (H, W, 3); ``owners`` int16 (H, W), the number of the segment each pixel belongs to or
    `NO_SEGMENT`; ``classes`` int64 (S), the segments' classes. Every segment has a pixel.
    """

    image: NDArray[np.uint8]
    owners: NDArray[np.int16]
    classes: NDArray[np.int64]


def random_view(sample: Sample, size: tuple[int, int], scale: tuple[float, float], random: Generator) -> View:
    """Return a view of ``size`` (height, width), enlarged by a factor from ``scale``, and padded if too small."""
    factor = math.exp(random.uniform(math.log(scale[0]), math.log(scale[1])))
    rows, columns = (
        _window(length, wanted, factor, random) for length, wanted in zip(sample.panoptic.shape, size, strict=True)
    )
    flip = bool(random.random() < 0.5)
    image = jitter_colors(_fit(sample.image[rows[0], columns[0]], (rows[1], columns[1])), random)
    ids = _nearest(sample.panoptic[rows[0], columns[0]], (rows[1], columns[1]))
    if flip:
        image, ids = image[:, ::-1], ids[:, ::-1]
    owners, classes = _number(ids, sample)
    canvas = np.full((*size, 3), _PADDING, np.uint8)
    canvas[: rows[1], : columns[1]] = image
    padded = np.full(size, NO_SEGMENT, np.int16)
    padded[: rows[1], : columns[1]] = owners
    return View(canvas, padded, classes)


def jitter_colors(image: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Return another brightness, contrast, saturation and hue, each half of the time; all are one 3x4 matrix."""
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
        matrix = _hue(random.uniform(-_HUE_DEGREES, _HUE_DEGREES)) @ matrix
    return cv2.transform(image, np.hstack([matrix, offset])).astype(np.uint8, copy=False)


def _hue(degrees: float) -> NDArray[np.floating]:
    """Return the matrix that turns colors about the gray axis."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    turned: NDArray[np.floating] = np.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ
    return turned


def _window(length: int, wanted: int, factor: float, random: Generator) -> tuple[slice, int]:
    """Return where to cut along one side, in pixels, and the cut's length once scaled, at most ``wanted``."""
    cut = min(length, max(1, round(wanted / factor)))
    start = int(random.integers(length - cut + 1))
    return slice(start, start + cut), min(wanted, max(1, round(cut * factor)))


def _fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = size[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=method).astype(np.uint8, copy=False)


def _nearest(ids: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    """Return what lies at the new pixels' centers."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp) for old, new in zip(ids.shape, size, strict=True)
    )
    centers: NDArray[np.int32] = ids[rows[:, None], columns]
    return centers


def _number(ids: NDArray[np.int32], sample: Sample) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Return segments in the view counted from 0, and their classes; void and crowds are nobody's."""
    present, places = np.unique(ids, return_inverse=True)
    classes = {segment.id: segment.category_id for segment in sample.segments if not segment.iscrowd}
    kept = [segment_id for segment_id in present.tolist() if segment_id in classes]
    numbers = {segment_id: number for number, segment_id in enumerate(kept)}
    table = np.array([numbers.get(segment_id, NO_SEGMENT) for segment_id in present.tolist()], np.int16)
    return table[places.reshape(ids.shape)], np.array([classes[segment_id] for segment_id in kept], np.int64)
