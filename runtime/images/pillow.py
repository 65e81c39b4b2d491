"""Images that Pillow has opened, as RGB uint8."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images.limits import MAX_PIXELS, require_pixels
from pem_edge.runtime.outside.reading import reading

if "OPENCV_LOG_LEVEL" not in os.environ:  # failures are raised as errors, so OpenCV need not print them
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Pixels = NDArray[np.uint8]

_ORIENTATION = 0x0112  # tag of EXIF
_TURNS: dict[object, Callable[[Pixels], Pixels]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""Turns that make an image upright, by its orientation in EXIF."""

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners use of the 16 bits of a file."""

_DEEP_FORMATS, _DARK = ("PNG", "TIFF"), 64
"""Formats that may hold colors of 16 bits, and the value that the high byte of 14 bits stays below."""

_FULL_COLOR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION

_UNKNOWN_RANGE = ("F", "LAB")  # the range of F is unknown, and Pillow cannot convert LAB


def to_rgb(image: Image.Image, name: str | Path, max_pixels: int = MAX_PIXELS, encoded: bytes | None = None) -> Pixels:
    """Return an image as RGB uint8 (H, W, 3), turned as its EXIF orientation says. ``image`` stays as it is.

    Gray, palette and CMYK images are converted, and transparency is dropped. Of 16-bit images, the highest eight bits
    that are in use are kept, see `reduce_depth`.

    Args:
        image: The image, decoded or not.
        name: The name for messages.
        max_pixels: The maximum of height times width, which is checked before the image is decoded.
        encoded: The content of the image's file, for the low bytes of 16-bit colors, which Pillow drops.

    Raises:
        InputError: If it cannot be decoded or converted, has no pixels, or is above the limit.
    """
    require_pixels(image.height, image.width, name, max_pixels)
    if 0 in image.size:
        raise InputError(f"{name} is {image.height}x{image.width}, expected at least one pixel: give another image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large sizes and odd palettes, which are handled here
        with reading(name, InputError, expected="a whole image", cure="download or copy it again"):
            image.load()
        with reading(name, InputError, expected="an image of known colors", cure="convert it to 8-bit RGB"):
            return np.ascontiguousarray(_turn(image)(_convert(image, name, encoded)))


def reduce_depth(values: NDArray[np.integer], name: str | Path) -> Pixels:
    """Return values of 0 to 65535 in 8 bits.

    Files of 16 bits often hold the 10, 12 or 14 bits of a camera. The smallest of these depths that holds all values
    is taken as the range, as the picture would be nearly black otherwise.

    Raises:
        InputError: If a value is out of range. ``name`` is the image's name in the message.
    """
    least, most = int(values.min()), int(values.max())
    if least < 0 or most > 65535:
        raise InputError(f"{name} has values from {least} to {most}, expected 0 to 65535: convert it to 8-bit RGB")
    depth = next(bits for bits in _DEPTHS if most < 1 << bits)
    return np.asarray(values >> (depth - 8)).astype(np.uint8)


def _convert(image: Image.Image, name: str | Path, encoded: bytes | None) -> Pixels:
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip instead of scale
        return np.repeat(reduce_depth(np.asarray(image), name)[..., np.newaxis], 3, axis=2)
    if image.mode in _UNKNOWN_RANGE:
        raise InputError(f"{name} has color mode {image.mode}: convert it to 8-bit RGB")
    pixels: Pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    if encoded is None or image.format not in _DEEP_FORMATS or pixels.max() >= _DARK:
        return pixels
    bare = _picture_chunks(encoded) if image.format == "PNG" else encoded
    deep = cv2.imdecode(np.frombuffer(bare, np.uint8), _FULL_COLOR)
    return pixels if deep is None or deep.dtype != np.uint16 else reduce_depth(deep.view(np.uint16)[..., ::-1], name)


def _picture_chunks(png: bytes) -> bytes:
    """Return a PNG without the chunks that are not the picture's. OpenCV believes lengths and sizes in all of them."""
    kept, start = [png[:8]], 8
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4], "big")
        if png[start + 4 : start + 8] in (b"IHDR", b"IDAT", b"IEND") and end <= len(png):
            kept.append(png[start:end])
        start = end
    return b"".join(kept)


def _turn(image: Image.Image) -> Callable[[Pixels], Pixels]:
    """Return what makes the image upright."""
    with suppress(Exception):  # damaged EXIF data leaves the image as it is stored
        return _TURNS.get(image.getexif().get(_ORIENTATION), _keep)
    return _keep


def _keep(pixels: Pixels) -> Pixels:
    return pixels
