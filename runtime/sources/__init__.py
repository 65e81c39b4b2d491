"""Sources of images: images, videos, cameras, addresses, and raw frames from another program."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import Image
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.sources.frame import Footage, Frame
from pem_edge.runtime.sources.live import Address, Camera
from pem_edge.runtime.sources.pictures import Pictures, pictures_in
from pem_edge.runtime.sources.raw import FORMATS, RawFrames
from pem_edge.runtime.sources.video import JPEG_SUFFIXES, Video

__all__ = [
    "FORMATS",
    "MAX_TIMEOUT",
    "TIMEOUT",
    "Address",
    "Camera",
    "Footage",
    "Frame",
    "Pictures",
    "RawFrames",
    "Source",
    "Video",
    "find",
]

Source = Pictures | Footage

TIMEOUT, MAX_TIMEOUT = 10.0, 1e6
"""Default and largest limit on the seconds that a camera or an address may yield nothing."""

_SCHEMES = ("rtsp", "rtsps", "http", "https")
_CAMERA = re.compile(r"(?:camera:)?(\d{1,4})")
_CURE = "give an image, a folder of images, a video, a camera (0) or an address (rtsp://)"


def find(source: str | Path | int | Sequence[Image], *, timeout: float | None = TIMEOUT) -> Source:
    """Return the source that ``source`` names.

    Args:
        source: An image file; a folder, whose images are sorted by name; a video file; a camera, such as ``0``,
            ``camera:0`` or ``/dev/video0``; or an address such as ``rtsp://host/path``. Or a list of images, see
            `images.convert`. What a file is, its content says.
        timeout: The maximum seconds that a camera or an address may yield nothing, or None for no limit.

    Raises:
        InputError: If the source does not exist, is empty or cannot be opened, or the timeout is out of range.
    """
    if timeout is not None and not 0 <= timeout <= MAX_TIMEOUT:
        raise InputError(f"the timeout is {timeout}, expected 0 to {MAX_TIMEOUT:.0f} seconds, or None for no limit")
    if not isinstance(source, (str, Path, int)):
        if isinstance(source, bytes) or not hasattr(source, "__len__"):
            raise InputError(f"the source is {brief(source)}, expected a path, a camera's number or images: {_CURE}")
        return Pictures(source)
    text = str(source)
    scheme, separator, _ = text.partition("://")
    if separator and not isinstance(source, Path):
        if scheme.lower() not in _SCHEMES:
            raise InputError(f"{scheme}:// is not an address of a video: expected {', '.join(_SCHEMES)}, or a file")
        return Address(text, timeout)
    path = images.locate(text)
    with reading(path, InputError, expected="a source of images", cure=_CURE):
        if (number := _camera(path, text)) is None:
            return _file(path)
    return Camera(number, timeout)


def _camera(path: Path, text: str) -> int | None:
    """Return a camera's number, or None if this is not a camera. An existing file called ``0`` is not a camera."""
    if device := re.fullmatch(r"/dev/video(\d{1,4})", os.path.realpath(path)):
        return int(device[1])
    match = _CAMERA.fullmatch(text)
    return int(match[1]) if match and not path.exists() else None


def _file(path: Path) -> Source:
    try:
        kind = 0 if str(path) == "-" else path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} does not exist: {_CURE}") from None
    if stat.S_ISDIR(kind):
        return Pictures(pictures_in(path))
    if kind == 0 or stat.S_ISFIFO(kind):
        raise InputError(f"{path} gives raw frames: give their size with --raw-size HxW")
    if not stat.S_ISREG(kind):
        raise InputError(f"{path} is neither a file nor a folder: {_CURE}")
    return _image_or_video(path)


def _image_or_video(path: Path) -> Source:
    """Return the source that a file holds by its content."""
    suffix = path.suffix.lower()
    if suffix not in JPEG_SUFFIXES and images.recognizes(path):
        return Pictures([path])
    try:
        return Video(path)
    except InputError:
        if suffix in images.SUFFIXES:
            return Pictures([path])  # which says what is wrong when it is read
        raise
