"""Writing a video file that appears under its name only when it is complete.

OpenCV's writer reports no errors. A full disk is detected because the file stops growing or cannot be read back.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results.opencv_names import encodable

_FRAME_INDEX_BYTES, _BUFFER_BYTES = 64, 1 << 18
"""Size of a frame's entry in the index at the end of the file, and of what the writer has not written yet."""

_CHECK_INTERVAL = 2048
"""Number of frames between two checks for growth."""


class VideoFile:
    """An MPEG-4 Part 2 video in an ``.mp4`` file. An odd height or width loses its last row or column.

    The first frame gives the video its size. Frames of other sizes are scaled to fit, aspect kept, on black.

    If the file cannot be written, `write` and `close` raise OutputError and the file is removed.

    Args:
        path: The file.
        fps: The frames per second.

    Attributes:
        path: The file.
        frames: The number of frames written so far.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.frames = path, 0
        self._fps = fps
        self._shape: tuple[int, ...] = ()
        self._file = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._temporary = path
        self._size = 0
        self._checked_frames = 0

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append a frame, RGB uint8 (H, W, 3). Raises OutputError."""
        if self._writer is None:
            self._writer, self._shape = self._open(*image.shape[:2]), image.shape
        if image.shape != self._shape:  # OpenCV's writer would leave it out
            image = _fit(image, *self._shape[:2])
        self._writer.write(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8))
        self.frames += 1
        self._check_growth()

    def bytes_to_finish(self) -> int:
        """Return the maximum number of bytes that `close` may still write."""
        return _FRAME_INDEX_BYTES * self.frames + _BUFFER_BYTES if self._writer else 0

    def close(self) -> None:
        """Finish the file. Without frames there is no file. Raises OutputError."""
        self._file.close()

    def _open(self, height: int, width: int) -> cv2.VideoWriter:
        with ExitStack() as file:
            self._temporary = file.enter_context(files.write_atomically(self.path))
            with encodable(self._temporary) as name:
                writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), self._fps, (width, height))
            if not writer.isOpened():
                raise OutputError(f"OpenCV cannot encode {self.path} of {height}x{width}: leave overlay out of --save")
            file.callback(self._finish)
            self._file = file.pop_all()  # stays open until `close`
        return writer

    def _finish(self) -> None:
        assert self._writer is not None
        self._writer.release()
        if not self._is_complete():
            raise OutputError(f"{self.path} could not be written: the disk is full, or files may not be that large")

    def _is_complete(self) -> bool:
        """Return whether the index has all frames and the last frame can be read."""
        with encodable(self._temporary) as name:
            capture = cv2.VideoCapture(name)
        try:
            indexed = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            return indexed == self.frames and capture.set(cv2.CAP_PROP_POS_FRAMES, indexed - 1) and capture.grab()
        finally:
            capture.release()

    def _check_growth(self) -> None:
        if self.frames - self._checked_frames < _CHECK_INTERVAL:
            return
        size, previous = self._temporary.stat().st_size, self._size
        self._checked_frames, self._size = self.frames, size
        if size == previous and not self._can_grow():
            raise OutputError(f"{self.path} has stopped growing: the disk is full, or files may not be that large")

    def _can_grow(self) -> bool:
        """Return whether there is room behind the end of the file. Frames of a still scene may all be in the buffer."""
        try:
            with self._temporary.open("ab") as file:
                end = file.tell()
                file.write(bytes(_BUFFER_BYTES))
                file.truncate(end)
        except OSError:
            return False
        return True


def _fit(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return the image scaled to fit, aspect kept, in the middle of a black one of the given size."""
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(scale * side)) for side in image.shape[:2])
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    fitted[top : top + rows, left : left + columns] = cv2.resize(image, (columns, rows))
    return fitted
