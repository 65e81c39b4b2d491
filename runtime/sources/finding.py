"""Finding the source that a user names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pem_edge.runtime import images
from pem_edge.runtime.arguments import number_in
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import Image, addresses
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import absence, reading
from pem_edge.runtime.sources import gstreamer
from pem_edge.runtime.sources.files import folders, own_results, video
from pem_edge.runtime.sources.files.collecting import collect
from pem_edge.runtime.sources.files.pictures import Pictures
from pem_edge.runtime.sources.files.several import Several
from pem_edge.runtime.sources.files.video import Video
from pem_edge.runtime.sources.frame import Footage
from pem_edge.runtime.sources.live import SCHEMES, Address, Camera
from pem_edge.runtime.suggestions import did_you_mean_file

Source = Pictures | Several | Footage

TIMEOUT, MAX_TIMEOUT = 10.0, 1e6
"""Default and largest limit on the seconds that a camera or an address may yield nothing."""

_CAMERA = re.compile(r"(?:camera:)?(\d{1,4})")
_STREAM_SUFFIXES = video.SUFFIXES | {".m3u8", ".mpd"}
_PEEK_SECONDS = 5.0
_CURE = "give an image, a folder of images, a video, a camera (0) or an address (rtsp://)"


def find(
    source: str | os.PathLike[str] | int | Sequence[Image], *, timeout: float | None = TIMEOUT, recursive: bool = False
) -> Source:
    """Return the source that ``source`` names.

    Args:
        source: An image or a video; a folder, whose images and videos are sorted by name; a pattern such as
            ``photos/*.jpg``; a camera, such as ``0``, ``camera:0``, ``/dev/video0``, or ``csi:0`` on a Jetson; an
            address of a stream, such as ``rtsp://host/path``, or of an image; or a GStreamer pipeline, which has
            `` ! `` in it or begins with ``gst:``. Or a list of images, see `images.convert`, of videos, folders and
            patterns. What a single file is, its content says; in folders and lists its suffix, if that is known.
        timeout: The maximum seconds that a camera or an address may yield nothing, or None for no limit.
        recursive: Whether images and videos in folders within a folder are taken, too.

    Raises:
        InputError: If the source does not exist, is empty or cannot be opened, or the timeout is out of range.
    """
    if timeout is not None:
        timeout = number_in("timeout", timeout, 0, MAX_TIMEOUT, such_as=TIMEOUT, unit="seconds", without="no limit")
    if isinstance(source, str):
        return _live(source, timeout) or _stored(source, timeout, recursive=recursive)
    if isinstance(source, (os.PathLike, int)) and not isinstance(source, bool):
        return _stored(str(source) if isinstance(source, int) else os.fsdecode(source), timeout, recursive=recursive)
    if isinstance(source, (bytes, bytearray, int)) or not _is_sized(source):
        raise InputError(f"the source is {brief(source)}, expected a path, a camera's number or images: {_CURE}")
    return collect(source, recursive=recursive)


def _is_sized(source: object) -> bool:
    """Return whether ``source`` has a length; arrays without dimensions have only the method for it."""
    return hasattr(source, "__len__") and getattr(source, "ndim", None) != 0


def find_several(names: Sequence[str], *, recursive: bool = False) -> Source:
    """Return the source of several files, folders, patterns and addresses of images, as a shell gives them.

    Unlike `find`, it looks at once whether all exist, leaves out files that are results of this package, and takes a
    file once that is named twice.

    Raises:
        InputError: If one of them does not exist, or is live.
    """
    kept = [name for name in names if addresses.is_web(name) or not own_results.is_own(_require_stored(name))]
    if not kept:
        raise InputError(f"these {len(names)} files are all results of earlier runs: give images or videos")
    source = collect(kept, recursive=recursive, once=True)
    source.left_out += len(names) - len(kept)
    return source


def _require_stored(name: str) -> Path:
    """Return the path that a name among several stands for. Raises InputError if that is none, or does not exist."""
    is_address = "://" in name and not addresses.is_file(name)
    path = Path(name) if is_address else images.locate(name)
    with reading(path, InputError, expected="an image or a video", cure=_CURE):
        if is_address or _camera(path, name) is not None:
            shown = name.partition("://")[0] + "://" if is_address else name
            raise InputError(f"{shown} is a camera or a stream: give it alone")
        if not folders.is_pattern(name) and not os.path.lexists(path):
            raise _missing(path)
    return path


def _missing(path: Path) -> InputError:
    """Return the error for a path that does not exist, with what may be meant."""
    return InputError(f"{absence(path)}{did_you_mean_file(path, [images.DEMO_STREET]) or f': {_CURE}'}")


def find_pictures(source: str | os.PathLike[str]) -> Pictures | None:
    """Return the images that ``source`` names, without videos among them; None if these are all. See `find`."""
    found = find(source)
    if isinstance(found, Several):
        found = Pictures([path for part in found.parts if isinstance(part, Pictures) for path in part.paths])
    return found if isinstance(found, Pictures) and found.length else None


def _live(text: str, timeout: float | None) -> Source | None:
    """Return the source that an address or a pipeline names; None if ``text`` is neither."""
    if text.startswith("csi:"):
        return gstreamer.csi_camera(text, timeout)
    if text.startswith("gst:") or (" ! " in text and not os.path.lexists(text)):
        return gstreamer.Pipeline(text.removeprefix("gst:").strip(), timeout)
    scheme, separator, _ = text.partition("://")
    if not separator or scheme.lower() == "file":
        return None
    if addresses.is_web(text) and _is_picture(text, timeout):
        return Pictures([text])
    if scheme.lower() not in SCHEMES:
        raise InputError(f"{scheme}:// is not an address of a video: expected {', '.join(SCHEMES)}, or a file")
    return Address(text, timeout)


def _is_picture(address: str, timeout: float | None) -> bool:
    """Return whether there is an image at an address: by its suffix, or else by what the server says."""
    with suppress(ValueError, InputError):  # whatever is wrong is reported by what opens it as a stream
        suffix = Path(urlsplit(address).path).suffix.lower()
        if suffix in images.SUFFIXES or suffix in _STREAM_SUFFIXES:
            return suffix in images.SUFFIXES
        # Imported here, because it takes a while, and most programs fetch nothing.
        from pem_edge.runtime.images import remote

        seconds = _PEEK_SECONDS if timeout is None else min(timeout, _PEEK_SECONDS)
        return remote.media_type(address, seconds=seconds).startswith("image/")
    return False


def _stored(text: str, timeout: float | None, *, recursive: bool) -> Source:
    """Return the source that a path, a pattern or a camera's number names."""
    path = images.locate(text)
    with reading(path, InputError, expected="a source of images", cure=_CURE):
        if (number := _camera(path, text)) is None:
            return _file(path, text, recursive=recursive)
    return Camera(number, timeout)


def _camera(path: Path, text: str) -> int | None:
    """Return a camera's number, or None if this is not a camera. An existing file called ``0`` is not a camera."""
    if device := re.fullmatch(r"/dev/video(\d{1,4})", os.path.realpath(path)):
        return int(device[1])
    match = _CAMERA.fullmatch(text)
    return int(match[1]) if match and not path.exists() else None


def _file(path: Path, text: str, *, recursive: bool) -> Source:
    if text == images.DEMO_STREET:
        return Pictures([text])
    try:
        kind = 0 if str(path) == "-" else path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if folders.is_pattern(text):
            return collect([text], recursive=recursive)
        raise _missing(path) from None
    if stat.S_ISDIR(kind):
        return collect([path], recursive=recursive)
    if kind == 0 or stat.S_ISFIFO(kind):
        raise InputError(f"{path} gives raw frames: give their size with --raw-size HxW")
    if not stat.S_ISREG(kind):
        raise InputError(f"{path} is neither a file nor a folder: {_CURE}")
    return _image_or_video(path)


def _image_or_video(path: Path) -> Source:
    """Return the source that a file holds by its content."""
    suffix = path.suffix.lower()
    if suffix not in video.JPEG_SUFFIXES and images.recognizes(path):
        return Pictures([path])
    try:
        return Video(path)
    except InputError:
        if suffix in images.SUFFIXES:
            return Pictures([path])  # which says what is wrong when it is read
        raise
