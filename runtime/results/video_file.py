"""Writing a video file that appears under its name only when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results import encoders
from pem_edge.runtime.sources.files import own_results


class VideoFile:
    """A video in an ``.mp4`` file, see `encoders`. An odd height or width loses its last row or column.

    The first frame gives the video its size. Frames of other sizes are scaled to fit, aspect kept, on black.

    If the file cannot be written, `write` and `close` raise OutputError and the file is removed.

    Args:
        path: The file.
        fps: The frames per second, which is what the last frame is shown for; without PyAV that of all.
        keep_all: Whether frames that come too early for ``fps`` are written where the rate is constant.

    Attributes:
        path: The file.
        frames: The number of frames written so far.
    """

    def __init__(self, path: Path, fps: float, *, keep_all: bool = False) -> None:
        self.path, self.frames = path, 0
        self._fps, self._keep_all = fps, keep_all
        self._shape: tuple[int, ...] = ()
        self._size = 0, 0
        self._file = ExitStack()
        self._temporary = path
        self._encoder: encoders.Encoder | None = None

    def write(self, image: NDArray[np.uint8], time: float | None = None) -> None:
        """Append a frame. Raises OutputError.

        Args:
            image: RGB uint8 (H, W, 3).
            time: When it is shown, in seconds since the first; never less than that of the frame before. None for even
                intervals.
        """
        if self._encoder is None:
            self._shape = image.shape
            self._size = _even(image.shape[0]), _even(image.shape[1])
            self._encoder = self._open()
        with self._reporting():
            self._encoder.write(self._adapt(image), self.frames / self._fps if time is None else time)
        self.frames += 1

    def bytes_to_finish(self) -> int:
        """Return the maximum number of bytes that `close` may still write."""
        return self._encoder.bytes_to_finish() if self._encoder else 0

    def close(self) -> None:
        """Finish the file. Without frames there is no file. Raises OutputError."""
        self._file.close()

    def _open(self) -> encoders.Encoder:
        with ExitStack() as file:
            self._temporary = file.enter_context(files.write_atomically(self.path))
            try:
                encoder = encoders.start(self._temporary, self._size, self._fps, keep_all=self._keep_all)
            except ValueError as error:
                height, width = self._size
                raise OutputError(
                    f"cannot encode {self.path} of {height}x{width} ({error}): leave overlay out of --save"
                ) from error
            file.callback(self._finish)
            self._file = file.pop_all()  # stays open until `close`
        return encoder

    def _finish(self) -> None:
        assert self._encoder is not None
        encoder, self._encoder = self._encoder, None
        with self._reporting():
            encoder.finish()
            with self._temporary.open("ab") as file:
                file.write(own_results.VIDEO_MARK)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.path} could not be written: the disk is full, or files may not be that large"
            ) from error

    def _adapt(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image in the size of the video."""
        height, width = self._size
        cropped = image[:height, :width]
        return cropped if image.shape == self._shape and cropped.shape[:2] == self._size else _fit(image, height, width)


def _even(side: int) -> int:
    """Return the even number of pixels that a side has in a video, as colors are stored for two by two pixels."""
    return max(2, side - side % 2)


def _fit(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return the image scaled to fit, aspect kept, in the middle of a black one of the given size."""
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(scale * side)) for side in image.shape[:2])
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    fitted[top : top + rows, left : left + columns] = cv2.resize(image, (columns, rows))
    return fitted
