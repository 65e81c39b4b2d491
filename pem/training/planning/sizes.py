"""The sizes of crops and of the model's input, from those of the images."""

from __future__ import annotations

import math
import statistics

from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF
from pem_edge.runtime.datasets.dataset import Dataset

_LOOKED_AT = 9
"""Number of images whose size is looked at."""

_LARGEST_CROP = 512 * 1024
"""Pixels of a crop of the paper for Cityscapes."""

Size = tuple[int, int]


def typical_size(dataset: Dataset) -> Size:
    """Return the median height and width of some images, evenly spaced. Raises InputError if one cannot be read."""
    step = max(1, len(dataset) // _LOOKED_AT)
    shapes = [dataset[index].panoptic.shape for index in range(0, len(dataset), step)[:_LOOKED_AT]]
    height, width = (int(statistics.median(sides)) for sides in zip(*shapes, strict=True))
    return height, width


def crop_for(image: Size) -> Size:
    """Return the size of the crops for images of a size: all of an image, or as many pixels as the paper's crops."""
    factor = math.sqrt(_LARGEST_CROP / math.prod(image))
    if factor >= 1:
        return padded(image)
    height, width = (max(MULTIPLE_OF, round(side * factor / MULTIPLE_OF) * MULTIPLE_OF) for side in image)
    return height, width


def padded(image: Size) -> Size:
    """Return the size of an image that is padded to multiples of 32."""
    height, width = (math.ceil(side / MULTIPLE_OF) * MULTIPLE_OF for side in image)
    return height, width
