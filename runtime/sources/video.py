"""Video files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources import captures
from pem_edge.runtime.sources.frame import Footage, Frame
from pem_edge.runtime.sources.names import usable

JPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
"""Suffixes of videos that begin like an image: they are JPEG images in a row."""


class Video(Footage):
    """The frames of a video file. Iterating skips damaged frames and raises InputError after the last frame if any.

    Frames whose pixels are not square are scaled, so that they are.

    Raises:
        InputError: If the file holds no video that OpenCV can decode, or its frames are too large.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.stem = path, str(path), usable(path.stem)
        with self._open() as capture:
            self.fps, self.length = captures.describe(capture)
            captures.require_size(capture, self.name)
            readable = capture.grab()
        if not readable:
            raise InputError(
                f"{path} is not a video that can be decoded, nor an image: convert it to .mp4 (H.264) or .jpg"
            )

    def __iter__(self) -> Iterator[Frame]:
        with self._open() as capture:
            yield from captures.read_recording(capture, self.name)

    @contextmanager
    def _open(self) -> Iterator[cv2.VideoCapture]:
        capture = captures.open_file(self.path)
        try:
            yield capture
        finally:
            capture.release()
