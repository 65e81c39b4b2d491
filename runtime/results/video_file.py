"""Writing a video that is there only when it is whole.

OpenCV's writer does not say when it cannot write: the disk that is full shows in a file that stops growing, and in one
that cannot be read again.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError

_INDEX = 64, 1 << 18  # bytes: what the index at the end takes a frame, and what the writer holds back
_GROWS = 2048  # frames; every twelfth is stored whole, so that the file grows however small they are


class VideoFile:
    """An .mp4 of ``fps`` frames a second, less the last row or column where the size is odd (MPEG-4, Part 2).

    Raises OutputError, also from `close`, if it cannot be written; then nothing is left of it.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.frames = path, 0
        self._fps = fps
        self._file = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._temporary = path
        self._size = 0
        self._grown = 0

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append ``image``, RGB uint8 (H, W, 3), all of one size."""
        if self._writer is None:
            self._writer = self._opened(*image.shape[:2])
        self._writer.write(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8))
        self.frames += 1
        self._check_growth()

    def to_finish(self) -> int:
        """Return bytes that finishing the file may take."""
        return _INDEX[0] * self.frames + _INDEX[1] if self._writer else 0

    def close(self) -> None:
        """Finish the file; without frames there is none."""
        self._file.close()

    def _opened(self, height: int, width: int) -> cv2.VideoWriter:
        with ExitStack() as file:
            self._temporary = file.enter_context(files.writing(self.path))
            name = str(self._temporary)
            writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), self._fps, (width, height))
            if not writer.isOpened():
                raise OutputError(f"OpenCV cannot encode {self.path} of {height}x{width}: leave overlay out of --save")
            file.callback(self._finish)
            self._file = file.pop_all()  # open until `close`
        return writer

    def _finish(self) -> None:
        assert self._writer is not None
        self._writer.release()
        if not self._whole():
            raise OutputError(f"{self.path} could not be written: the disk is full, or files may not be that large")

    def _whole(self) -> bool:
        """Return whether all frames are in the index, and the last one is in the file."""
        capture = cv2.VideoCapture(str(self._temporary))
        try:
            indexed = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            return indexed == self.frames and capture.set(cv2.CAP_PROP_POS_FRAMES, indexed - 1) and capture.grab()
        finally:
            capture.release()

    def _check_growth(self) -> None:
        if self.frames - self._grown < _GROWS:
            return
        size, before = self._temporary.stat().st_size, self._size
        self._grown, self._size = self.frames, size
        if size == before:
            raise OutputError(f"{self.path} has stopped growing: the disk is full, or files may not be that large")
