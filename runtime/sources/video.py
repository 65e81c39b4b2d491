"""Video files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources import captures
from pem_edge.runtime.sources.frame import Footage, Frame

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"})


class Video(Footage):
    """The frames of a video file. Iterating skips damaged frames and raises InputError after the last frame if any.

    Raises:
        InputError: If the file holds no video that OpenCV can decode.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.stem = path, str(path), path.stem
        with self._open() as capture:
            self.fps, self.length = captures.describe(capture)
            readable = capture.grab()
        if not readable:
            raise InputError(f"{path} is not a video that can be decoded: replace it, or convert it to .mp4 (H.264)")

    def __iter__(self) -> Iterator[Frame]:
        with self._open() as capture:
            yield from captures.read_recording(capture, self.name)

    @contextmanager
    def _open(self) -> Iterator[cv2.VideoCapture]:
        capture = captures.open_capture(str(self.path))
        try:
            yield capture
        finally:
            capture.release()
