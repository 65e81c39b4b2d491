"""Reading images from files and arrays as RGB uint8 (H, W, 3).

Files are decoded with Pillow, as in the published code. It reports a truncated file as an error, while OpenCV may fill
the missing part with gray and only print a warning.
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
"""Default limit on the height times the width of an image."""

MAX_BYTES = 500_000_000
"""Default limit on the size of an image file."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".gif"})
"""Suffixes of the files that count as images when a folder is read. A file that is named itself may have any."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF")  # Pillow decodes these without other programs


def read(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> NDArray[np.uint8]:
    """Return the image in a file as RGB uint8 (H, W, 3), rotated as its EXIF orientation says.

    Gray, palette, CMYK and 16-bit images are converted to 8-bit RGB, and transparency is dropped. Of an image with
    several frames, the first is read.

    Args:
        path: The file.
        max_pixels: The maximum of height times width, which is checked before the image is decoded.
        max_bytes: The maximum size of the file.

    Raises:
        InputError: If the file is missing, not an image, damaged, or above a limit.
    """
    data = _read_bytes(path, max_bytes)
    with warnings.catch_warnings():  # Pillow warns of large sizes and odd palettes, which are handled here
        warnings.simplefilter("ignore")
        image = _decode(data, path, max_pixels)
        with suppress(Exception):  # damaged EXIF data leaves the image as it is stored
            ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image, path)


def from_array(image: object) -> NDArray[np.uint8]:
    """Return an array as RGB uint8 (H, W, 3). Only gray images are copied; others give a view.

    Args:
        image: A uint8 array: RGB (H, W, 3), RGBA (H, W, 4), or gray (H, W) or (H, W, 1).

    Raises:
        InputError: If ``image`` is anything else.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"the image is a {found}, expected a path or a NumPy array of uint8, RGB, (height, width, 3)")
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        raise InputError(f"the image has shape {image.shape}, expected (height, width, 3)")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]


def _read_bytes(path: Path, limit: int) -> bytes:
    if not path.exists():
        raise InputError(f"{path} does not exist: give the path of an image")
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the path of an image")
    try:
        size = path.stat().st_size
        if not 0 < size <= limit:
            raise InputError(f"{path} has {size} bytes, expected an image of 1 to {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _decode(data: bytes, path: Path, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
        if image.width * image.height > max_pixels:
            raise Image.DecompressionBombError
        image.load()
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not an image, or is cut off at its start: expected {', '.join(_FORMATS)}"
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} claims more than {max_pixels} pixels, the limit: scale it down") from error
    except Exception as error:  # a decoder given damaged bytes may raise anything
        raise InputError(f"{path} is a truncated or damaged image ({_reason(error)}): replace it") from error
    return image


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


def _to_rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip instead of scale
        gray = np.asarray(image).clip(0, 65535) >> 8
        return from_array(gray.astype(np.uint8))
    if image.mode in ("F", "LAB"):  # the range of F is unknown, and Pillow cannot convert LAB
        raise InputError(f"{path} has color mode {image.mode}: convert it to 8-bit RGB")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
