"""Panoptic maps in files: images whose colors or gray levels are ids of segments, which must come through exactly."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import read_bytes, reading
from pem_edge.runtime.results import coco_format

MAX_ID = (1 << 24) - 1
"""Largest id of a segment: colors have three bytes."""

_EXPECTED, _CURE = "a panoptic map", "save it as an RGB PNG with id = R + 256 G + 65536 B"
_LOSSLESS = ("PNG", "TIFF", "BMP", "GIF")


def read(path: Path) -> NDArray[np.int32]:
    """Return the segment ids of a panoptic map, int32 (H, W), 0 for void.

    RGB and palette images are COCO's format. Of gray images, with 8, 16 or 32 bits, the gray levels are the ids.

    Raises:
        InputError: If the file is missing, damaged, or in a form that does not keep ids: with losses, transparency, or
            colors of 16 bits.
    """
    data = read_bytes(path, InputError, limit=images.MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    with warnings.catch_warnings(), reading(path, InputError, expected=_EXPECTED, cure=_CURE):
        warnings.simplefilter("ignore")  # of large sizes, which are checked here
        image = Image.open(BytesIO(data))
        images.require_pixels(image.height, image.width, path)
        if image.format not in _LOSSLESS:
            raise InputError(f"{path} is a {image.format}, which changes colors and so ids: {_CURE}")
        if image.mode.startswith("RGB") and any(";16" in str(tile) for tile in image.tile):
            raise InputError(f"{path} has colors of 16 bits, expected 8: {_CURE}")
        ids = _ids(image, path)
        if not 0 <= ids.min() <= ids.max() <= MAX_ID:
            raise InputError(f"{path} has ids from {ids.min()} to {ids.max()}, expected 0 to {MAX_ID}: {_CURE}")
        return ids.astype(np.int32)


def _ids(image: Image.Image, path: Path) -> NDArray[np.integer]:
    if image.mode in ("1", "L") or image.mode.startswith("I"):
        return np.asarray(image).astype(np.int64)
    if image.mode == "RGBA":
        if image.getchannel("A").getextrema() != (255, 255):
            raise InputError(f"{path} is transparent in places, where colors are not ids: {_CURE}")
        image = image.convert("RGB")
    if image.mode not in ("RGB", "P"):
        raise InputError(f"{path} has color mode {image.mode}: {_CURE}")
    return coco_format.decode(np.asarray(image.convert("RGB")))
