"""Reading image files.

They are decoded with Pillow, as in the published code. It reports a truncated file as an error, while OpenCV may fill
the missing part with gray and only print a warning.
"""

from __future__ import annotations

import os
import re
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import addresses, pillow
from pem_edge.runtime.images.limits import MAX_PIXELS
from pem_edge.runtime.outside import stand_ins
from pem_edge.runtime.outside.reading import read_bytes, reading

MAX_BYTES = 500_000_000
"""Default limit on the size of an image file."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".gif"})
"""Suffixes of the files that count as images when a folder is read. A file that is named itself may have any."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF")
"""Formats of image files, by Pillow's names. It decodes these without other programs."""

_STILL_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"crx ")
"""Brands of ISO base media files that hold a picture. A reader of videos would take it, or one tile of it."""

_SEQUENCE_BRANDS = (b"hevc", b"hevx", b"hevm", b"hevs", b"msf1", b"avis")
"""Brands of those that hold pictures in a row, which a reader of videos may play, under names of images."""

_VIDEO = re.compile(rb"....(ftyp|moov|mdat)|RIFF....AVI |\x1aE\xdf\xa3|FLV\x01|\x00\x00\x01[\xb3\xba]", re.DOTALL)
"""First bytes of MP4 and QuickTime, AVI, Matroska and WebM, Flash, and MPEG videos."""

DEMO_STREET = "demo:street"
"""Name of the picture that comes with the package: a toy street, 512x1024."""

_DEMO_STREET_FILE = Path(__file__).parent / "demo" / "street.jpg"

_EXPECTED = f"an image ({', '.join(FORMATS)})"


def locate(path: str | os.PathLike[str]) -> Path:
    """Return the file that ``path`` names: a path, a file:// URL, or "demo:street", which comes with the package.

    Raises:
        InputError: If it is another URL, or too long for a path.
    """
    text = os.fsdecode(path)
    if text == DEMO_STREET:
        return _DEMO_STREET_FILE
    return Path(text) if isinstance(path, os.PathLike) else Path(addresses.to_path(text))


def read(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> NDArray[np.uint8]:
    """Return the image in a file as RGB uint8 (H, W, 3), rotated as its EXIF orientation says.

    Gray, palette, CMYK and 16-bit images are converted to 8-bit RGB, and transparency is dropped. Of 16 bits, the
    highest eight that are in use are kept. Of an image with several frames or pages, the first is read.

    Args:
        path: The file.
        max_pixels: The maximum of height times width, which is checked before the image is decoded.
        max_bytes: The maximum size of the file.

    Raises:
        InputError: If the file is missing, not an image, damaged, or above a limit.
    """
    data = read_bytes(path, InputError, limit=max_bytes, expected=_EXPECTED, cure="give another file")
    return decode(data, path, max_pixels=max_pixels)


def decode(
    data: bytes, name: str | Path, *, cure: str = "replace it", max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Return the image in the content of a file as `read` does.

    Args:
        data: The content.
        name: The file, or a name for it in messages.
        cure: The advice at the end of the message about content that is not an image.
        max_pixels: The maximum of height times width, which is checked before the image is decoded.

    Raises:
        InputError: If it is empty, not an image, damaged, or above the limit.
    """
    return pillow.to_rgb(open_bytes(data, name, cure=cure, max_pixels=max_pixels), name, max_pixels, data)


def open_bytes(
    data: bytes, path: str | Path, *, expected: str = _EXPECTED, cure: str = "replace it", max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Return the image in the content of a file, whose pixels are not decoded yet.

    Args:
        data: The content.
        path: The file, or a name for it in messages.
        expected: What it should be, see `reading`.
        cure: The advice at the end of messages.
        max_pixels: The limit to name where Pillow finds that there are far too many pixels.

    Raises:
        InputError: If it is empty or not an image.
    """
    if not data:
        raise InputError(f"{path} has 0 bytes, expected {expected}: {cure}")
    return _open(BytesIO(data), path, expected, cure, max_pixels)


def recognizes(path: Path) -> bool:
    """Return whether a file begins like an image, if perhaps like one in a format that `read` does not take."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[4:8] == b"ftyp":
            return head[8:] in _STILL_BRANDS
        with suppress(InputError):
            return _open(file, path, _EXPECTED, "replace it", MAX_PIXELS) is not None
    return False


def _open(file: IO[bytes], path: str | Path, expected: str, cure: str, max_pixels: int) -> Image.Image:
    with warnings.catch_warnings(), reading(path, InputError, expected=expected, cure=cure):
        warnings.simplefilter("ignore")  # of large sizes, which are handled here
        try:
            return Image.open(file, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise InputError(f"{path} claims more than {max_pixels} pixels, the limit: scale it down") from error
        except UnidentifiedImageError as error:
            file.seek(0)
            fault = _fault(file.read(stand_ins.HEAD), expected)
            raise InputError(f"{path} {fault or f'is not {expected}, or is cut off at its start: {cure}'}") from error


def _fault(head: bytes, expected: str) -> str | None:
    """Return what a file is that is no image that `read` takes, by its first bytes; None if that is unknown."""
    if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS + _SEQUENCE_BRANDS:
        return f"is a HEIC, AVIF or CR3 image, expected {expected}: convert it to .jpg"
    if _VIDEO.match(head):
        return f"is a video, expected {expected}: name it .mp4 or the like, and give it to Segmenter.stream or pem-run"
    return stand_ins.recognize(head, expected)
