"""Preprocessing: scales an image to fit a model's input, keeping its aspect ratio, and pads it bottom and right."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import InputSpec, Range

Size = tuple[int, int]
"""Height and width in pixels."""


def prepare(image: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.uint8], Geometry]:
    """Fit ``image`` to an artifact's input.

    An artifact of fixed size gets what `fit` returns. If the artifact's size is dynamic, an image within its ranges
    keeps its size and is only padded, to multiples of ``spec.multiple_of``. A larger image is scaled down to fit the
    maximum input size. An image smaller than the minimum input size in both directions is scaled up to it.

    Args:
        image: RGB uint8 (H, W, 3).
        spec: The input section of the artifact's manifest.

    Returns:
        The input, RGB uint8 (height, width, 3), which is ``image`` itself if nothing has to change; and its geometry.
    """
    return _scale_and_pad(image, geometry(_size(image), spec), spec.pad_value)


def geometry(size: Size, spec: InputSpec) -> Geometry:
    """Return the geometry that `prepare` gives an image of ``size`` (height, width)."""
    scaled, padded = _fitted_sizes(size, spec)
    return Geometry(padded_size=padded, image_size=scaled, output_size=size)


def fit(
    image: NDArray[np.uint8], height: int, width: int, pad_value: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], Geometry]:
    """Scale ``image`` to fit ``height`` x ``width`` and pad the rest.

    Images are scaled down by averaging over areas and scaled up bilinearly. At least one pixel remains in each
    direction.

    Args:
        image: RGB uint8 (H, W, 3).
        height: The height of the input.
        width: The width of the input.
        pad_value: The RGB color of the padding.

    Returns:
        The input, RGB uint8 (height, width, 3), which is ``image`` itself if it has that size; and the geometry with
        which postprocessing restores the image's size.
    """
    box = height, width
    return _scale_and_pad(image, Geometry(box, _scale_within(_size(image), box), _size(image)), pad_value)


def _size(image: NDArray[np.uint8]) -> Size:
    return image.shape[0], image.shape[1]


def _scale_within(size: Size, box: Size) -> Size:
    """Return the largest size within ``box`` that has the aspect ratio of ``size``."""
    scale = min(box[0] / size[0], box[1] / size[1])
    height, width = (min(limit, max(1, round(side * scale))) for side, limit in zip(size, box, strict=True))
    return height, width


def _fitted_sizes(size: Size, spec: InputSpec) -> tuple[Size, Size]:
    """Return the size of the scaled image and the size of the input that it is padded to."""
    rows = spec.dynamic_height or Range(spec.height, spec.height, spec.height)
    columns = spec.dynamic_width or Range(spec.width, spec.width, spec.width)
    if size[0] > rows.most or size[1] > columns.most:
        size = _scale_within(size, (rows.most, columns.most))
    elif size[0] < rows.least and size[1] < columns.least:
        size = _scale_within(size, (rows.least, columns.least))
    padded = _padded_side(size[0], rows, spec.multiple_of), _padded_side(size[1], columns, spec.multiple_of)
    return size, padded


def _padded_side(side: int, sides: Range, multiple: int) -> int:
    return max(sides.least, -(-side // multiple) * multiple)


def _scale_and_pad(
    image: NDArray[np.uint8], geometry: Geometry, pad_value: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], Geometry]:
    padded, scaled = geometry.padded_size, geometry.image_size
    if padded == scaled == geometry.output_size:
        return image, geometry
    canvas = np.empty((*padded, 3), np.uint8)
    rows, columns = scaled
    _resize(image, canvas[:rows, :columns])
    padding = np.full((padded[1], 3), pad_value, np.uint8)
    canvas[:rows, columns:] = padding[columns:]
    canvas[rows:] = padding
    return canvas, geometry


def _resize(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    """Scale ``image`` to fill ``target``, which may be a view of a larger array, without a temporary copy."""
    if target.shape == image.shape:
        target[...] = image
        return
    interpolation = cv2.INTER_AREA if target.size < image.size else cv2.INTER_LINEAR
    cv2.resize(image, target.shape[1::-1], dst=target, interpolation=interpolation)
