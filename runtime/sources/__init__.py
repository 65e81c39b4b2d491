"""Sources of images: image files, videos, cameras, addresses, and raw frames from another program."""

from __future__ import annotations

import re
from pathlib import Path

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.frame import Footage, Frame
from pem_edge.runtime.sources.live import Address, Camera
from pem_edge.runtime.sources.pictures import Pictures, pictures_in
from pem_edge.runtime.sources.raw import FORMATS, RawFrames
from pem_edge.runtime.sources.video import SUFFIXES as VIDEO_SUFFIXES
from pem_edge.runtime.sources.video import Video

__all__ = [
    "FORMATS",
    "TIMEOUT",
    "VIDEO_SUFFIXES",
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

TIMEOUT = 10.0
"""Default limit on the seconds that a camera or an address may yield nothing."""

_SCHEMES = ("rtsp", "rtsps", "http", "https")
_CAMERA = re.compile(r"(?:camera:)?(\d{1,4})")


def find(source: str | Path | int, *, timeout: float | None = TIMEOUT) -> Source:
    """Return the source that ``source`` names.

    Args:
        source: An image file; a folder, whose images are sorted by name; a video file; a camera, such as ``0``,
            ``camera:0`` or ``/dev/video0``; or an address such as ``rtsp://host/path``.
        timeout: The maximum seconds that a camera or an address may yield nothing, or None for no limit.

    Raises:
        InputError: If the source does not exist, is empty or cannot be opened.
    """
    text = str(source)
    scheme, separator, _ = text.partition("://")
    if separator and not isinstance(source, Path):
        if scheme.lower() not in _SCHEMES:
            raise InputError(f"{scheme}:// is not an address of a video: expected {', '.join(_SCHEMES)}, or a file")
        return Address(text, timeout)
    path = Path(text)
    if (number := _camera(path, text)) is not None:
        return Camera(number, timeout)
    return _file(path)


def _camera(path: Path, text: str) -> int | None:
    """Return a camera's number, or None if this is not a camera. An existing file called ``0`` is not a camera."""
    if device := re.fullmatch(r"/dev/video(\d{1,4})", str(path.resolve())):
        return int(device[1])
    match = _CAMERA.fullmatch(text)
    return int(match[1]) if match and not path.exists() else None


def _file(path: Path) -> Source:
    if path.is_dir():
        return Pictures(pictures_in(path))
    if str(path) == "-" or path.is_fifo():
        raise InputError(f"{path} gives raw frames: give their size with --raw-size HxW")
    if not path.exists():
        raise InputError(
            f"{path} does not exist: give an image, a folder of images, a video, a camera (0) or an address (rtsp://)"
        )
    return Video(path) if path.suffix.lower() in VIDEO_SUFFIXES else Pictures([path])
