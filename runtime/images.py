"""Pictures as RGB uint8 (H, W, 3), from files and arrays.

Decoded with Pillow, as the published code does: a truncated file is an error in every version of it, where OpenCV may
fill the rest with gray and print on standard error.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pem_edge.runtime.errors import InputError

MAX_PIXELS = 100_000_000
MAX_BYTES = 500_000_000
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".gif"})
"""Of the files in a folder that are taken for pictures; a single file may have any."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF")  # what needs no other program to decode


def read(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> NDArray[np.uint8]:
    """Return the picture in a file, RGB uint8 (H, W, 3), turned upright as its EXIF orientation says.

    Gray, palette, CMYK and 16-bit pictures become 8-bit color, transparency is dropped, of several frames the first
    is read. Raises InputError if the file is missing, no picture, damaged, or above the limits; the limit on pixels is
    checked against the header, before anything is decoded.
    """
    data = _bytes(path, max_bytes)
    with warnings.catch_warnings():  # of Pillow's, about sizes and palettes that are dealt with here
        warnings.simplefilter("ignore")
        picture = _decode(data, path, max_pixels)
        with suppress(Exception):  # damaged EXIF data leaves the picture as it is stored
            ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture, path)


def from_array(image: object) -> NDArray[np.uint8]:
    """Return an array the caller holds, as RGB uint8 (H, W, 3).

    Takes uint8 (H, W, 3) RGB, (H, W, 4) RGBA and (H, W) or (H, W, 1) gray; copies only gray. Raises InputError.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"the image is a {found}, expected a path or a NumPy array of uint8, RGB, (height, width, 3)")
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        raise InputError(f"the image has shape {image.shape}, expected (height, width, 3)")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]


def _bytes(path: Path, limit: int) -> bytes:
    if not path.exists():
        raise InputError(f"{path} does not exist: give the path of a picture")
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the path of a picture")
    try:
        size = path.stat().st_size
        if not 0 < size <= limit:
            raise InputError(f"{path} has {size} bytes, a picture of 1 to {limit} was expected")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _decode(data: bytes, path: Path, max_pixels: int) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data), formats=_FORMATS)
        if picture.width * picture.height > max_pixels:
            raise Image.DecompressionBombError
        picture.load()
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not a picture, or is cut off at its start: expected {', '.join(_FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} claims more than {max_pixels} pixels, the limit: scale it down") from error
    except Exception as error:  # a decoder given damaged bytes may raise anything
        raise InputError(f"{path} is a truncated or damaged picture ({_reason(error)}): replace it") from error
    return picture


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


def _to_rgb(picture: Image.Image, path: Path) -> NDArray[np.uint8]:
    if picture.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip instead of scale
        gray = np.asarray(picture).clip(0, 65535) >> 8
        return from_array(gray.astype(np.uint8))
    if picture.mode in ("F", "LAB"):  # whose range is anyone's guess; which Pillow cannot convert
        raise InputError(f"{path} has color mode {picture.mode}: convert it to 8-bit RGB")
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
