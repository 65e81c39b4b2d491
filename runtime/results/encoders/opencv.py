"""MPEG-4 Part 2 of constant frame rate, by OpenCV, whose writer reports no errors.

A full disk is detected because the file stops growing or cannot be read back.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.encoders.encoder import Encoder
from pem_edge.runtime.results.opencv_names import encodable

_FRAME_INDEX_BYTES, _BUFFER_BYTES = 64, 1 << 18
"""Size of a frame's entry in the index at the end of the file, and of what the writer has not written yet."""

_CHECK_INTERVAL = 2048
"""Number of frames between two checks for growth."""


class OpenCvEncoder(Encoder):
    """Writes by OpenCV. Each frame is repeated until the next one is due; the arguments are those of `start`."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, *, keep_all: bool) -> None:
        self._path, self._fps, self._keep_all = path, fps, keep_all
        self._last: NDArray[np.uint8] | None = None
        self._frames = self._checked_frames = self._size = 0
        with encodable(path) as name:
            self._writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), fps, size[::-1])
        if not self._writer.isOpened():
            raise ValueError("OpenCV has no MPEG-4 encoder, or not for this size")

    def write(self, image: NDArray[np.uint8], time: float) -> None:
        """See `Encoder.write`. A frame that comes too early for the rate is left out, or else delays what follows."""
        index = round(time * self._fps)
        while self._last is not None and self._frames < index:
            self._append(self._last)
        if self._keep_all or self._frames == index:
            self._append(image)
        self._last = image

    def bytes_to_finish(self) -> int:
        """See `Encoder.bytes_to_finish`."""
        return _FRAME_INDEX_BYTES * self._frames + _BUFFER_BYTES

    def finish(self) -> None:
        """See `Encoder.finish`."""
        self._writer.release()
        if not self._is_complete():
            raise _full()

    def _append(self, image: NDArray[np.uint8]) -> None:
        self._writer.write(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8))
        self._frames += 1
        self._check_growth()

    def _is_complete(self) -> bool:
        """Return whether the index has all frames and the last frame can be read."""
        with encodable(self._path) as name:
            capture = cv2.VideoCapture(name)
        try:
            indexed = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            return indexed == self._frames and capture.set(cv2.CAP_PROP_POS_FRAMES, indexed - 1) and capture.grab()
        finally:
            capture.release()

    def _check_growth(self) -> None:
        if self._frames - self._checked_frames < _CHECK_INTERVAL:
            return
        size, previous = self._path.stat().st_size, self._size
        self._checked_frames, self._size = self._frames, size
        if size == previous and not self._can_grow():
            raise _full()

    def _can_grow(self) -> bool:
        """Return whether there is room behind the end of the file. Frames of a still scene may all be in the buffer."""
        try:
            with self._path.open("ab") as file:
                end = file.tell()
                file.write(bytes(_BUFFER_BYTES))
                file.truncate(end)
        except OSError:
            return False
        return True


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
