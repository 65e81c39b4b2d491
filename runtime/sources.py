"""Where images come from: a picture, a folder of pictures, a video."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime import images
from runtime.errors import InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"})
_USUAL_FPS = 25.0  # for videos that do not say

# OpenCV reads it when it first meets FFmpeg. -8 is quiet: what fails is raised here, not printed on standard error.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    ``name`` is a picture's path or a video frame's number ("000000" and up). ``read`` gives RGB uint8 (H, W, 3) or
    raises InputError.
    """

    name: str
    read: Callable[[], NDArray[np.uint8]]


class Pictures:
    """Picture files, decoded when their frame is read. ``length`` is their number.

    ``stems`` has, by a frame's name, what the names of its outputs start with: its path's stem, or its whole name
    where stems are not unique.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.length = len(paths)
        self.stems = dict(zip(map(str, paths), _unique_stems(paths), strict=True))

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            yield Frame(str(path), partial(images.read, path))


class Video:
    """The frames of a video file. ``fps`` is frames a second, ``length`` their number, None if the file has none of it.

    Raises InputError if the file holds no video that OpenCV can decode.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        capture = self._open()
        self.fps = capture.get(cv2.CAP_PROP_FPS) or _USUAL_FPS
        claimed = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = claimed if claimed > 0 else None
        readable = capture.grab()
        capture.release()
        if not readable:
            raise InputError(f"{path} is no video that can be decoded: replace it, or convert it to .mp4 (H.264)")

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            index = 0
            while (decoded := capture.read())[0]:
                image = np.asarray(cv2.cvtColor(decoded[1], cv2.COLOR_BGR2RGB), np.uint8)
                yield Frame(f"{index:06d}", partial(images.from_array, image))
                index += 1
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        return cv2.VideoCapture(str(self.path))


Source = Pictures | Video


def find(source: str | Path) -> Source:
    """The images of a picture file, a folder (its pictures sorted by name, not of folders in it) or a video file.

    Raises InputError if there is none.
    """
    path = Path(source)
    if path.is_dir():
        return Pictures(_pictures_in(path))
    if not path.exists():
        raise InputError(f"{path} does not exist: give a picture, a folder of pictures or a video")
    return Video(path) if path.suffix.lower() in VIDEO_SUFFIXES else Pictures([path])


def _pictures_in(folder: Path) -> list[Path]:
    try:
        files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    pictures = [entry for entry in files if entry.suffix.lower() in images.SUFFIXES and entry.is_file()]
    if not pictures:
        raise InputError(
            f"{folder} has no pictures in it: expected files ending in {' '.join(sorted(images.SUFFIXES))}"
        )
    return pictures


def _unique_stems(paths: Sequence[Path]) -> list[str]:
    """The stem of each path; its whole name where a stem is not unique, be it only by case."""
    counts = Counter(path.stem.casefold() for path in paths)
    stems = [path.stem if counts[path.stem.casefold()] == 1 else path.name for path in paths]
    clash = len({stem.casefold() for stem in stems}) < len(stems)
    return [path.name for path in paths] if clash else stems
