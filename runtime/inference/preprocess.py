"""An image of any size as a model's input: scaled to fit, aspect kept, padded at the bottom and right."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import InputSpec, Range

Size = tuple[int, int]


def prepare(image: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.uint8], Geometry]:
    """Fit ``image``, RGB uint8 (H, W, 3), to what an artifact takes.

    A static artifact takes one size, see `fit`. For a dynamic one, an image within its ranges keeps its size and is
    only padded, to a multiple of ``spec.multiple_of``. A larger image is scaled down to fit the largest input; one that
    is smaller than the smallest input in both directions is scaled up to it.
    """
    return _place(image, geometry(_size(image), spec), spec.pad_value)


def geometry(size: Size, spec: InputSpec) -> Geometry:
    """Return the sizes of an image of ``size`` (height, width) on its way into a model's input, see `prepare`."""
    scaled, padded = _sizes(size, spec)
    return Geometry(padded_size=padded, image_size=scaled, output_size=size)


def fit(
    image: NDArray[np.uint8], height: int, width: int, pad_value: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], Geometry]:
    """Scale ``image``, RGB uint8 (H, W, 3), to fit ``height`` x ``width`` and pad it with ``pad_value`` (RGB).

    Returns uint8 (height, width, 3), the image itself if it has that size already, and the sizes that
    postprocessing needs to bring results back to the image's size. Shrinking averages over areas, growing is
    bilinear; at least one pixel is left in each direction.
    """
    box = height, width
    return _place(image, Geometry(box, _scaled(_size(image), box), _size(image)), pad_value)


def _size(image: NDArray[np.uint8]) -> Size:
    return image.shape[0], image.shape[1]


def _scaled(size: Size, box: Size) -> Size:
    """Return the largest size of the same aspect within ``box``."""
    scale = min(box[0] / size[0], box[1] / size[1])
    height, width = (min(most, max(1, round(side * scale))) for side, most in zip(size, box, strict=True))
    return height, width


def _sizes(size: Size, spec: InputSpec) -> tuple[Size, Size]:
    """Return the image's size after scaling, and the input's."""
    rows = spec.dynamic_height or Range(spec.height, spec.height, spec.height)
    columns = spec.dynamic_width or Range(spec.width, spec.width, spec.width)
    if size[0] > rows.most or size[1] > columns.most:
        size = _scaled(size, (rows.most, columns.most))
    elif size[0] < rows.least and size[1] < columns.least:
        size = _scaled(size, (rows.least, columns.least))
    padded = _padded(size[0], rows, spec.multiple_of), _padded(size[1], columns, spec.multiple_of)
    return size, padded


def _padded(side: int, sides: Range, multiple: int) -> int:
    return max(sides.least, -(-side // multiple) * multiple)


def _place(
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
    """Scale ``image`` to fill ``target``, which may be part of an array: nothing is copied afterwards."""
    if target.shape == image.shape:
        target[...] = image
        return
    interpolation = cv2.INTER_AREA if target.size < image.size else cv2.INTER_LINEAR
    cv2.resize(image, target.shape[1::-1], dst=target, interpolation=interpolation)
