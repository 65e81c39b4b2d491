"""Anything that a segmenter takes as an image."""

from __future__ import annotations

import os
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from pem_edge.runtime.images import pillow
from pem_edge.runtime.images.arrays import from_array
from pem_edge.runtime.images.files import locate, read


class _ConvertsToNumpy(Protocol):
    """An array of another library, such as a tensor of PyTorch on the CPU."""

    def __array__(self) -> NDArray[np.generic]: ...


class _SharesByDlpack(Protocol):
    """An array that is shared by DLPack alone."""

    def __dlpack__(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


Image: TypeAlias = (
    "str | os.PathLike[str] | PillowImage.Image | NDArray[np.uint8] | memoryview | _ConvertsToNumpy | _SharesByDlpack"
)
"""An image file, a Pillow image, or an array as `from_array` takes it."""


def convert(image: object) -> NDArray[np.uint8]:
    """Return an image as RGB uint8 (H, W, 3).

    Args:
        image: A path, see `read`, or "demo:street" for the picture that comes with the package; a Pillow image, whose
            first or current frame is taken and turned as its EXIF orientation says; or an array, see `from_array`.

    Raises:
        InputError: If it is none of these, or cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        return read(locate(image))
    if isinstance(image, PillowImage.Image):
        return pillow.to_rgb(image, "the PIL image")
    return from_array(image)
