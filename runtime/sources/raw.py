"""Raw frames from another program, such as ``ffmpeg -i ... -f rawvideo -pix_fmt rgb24 -``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.frame import Footage, Frame, format_count, frame_name

FORMATS = ("rgb24", "bgr24")
"""Pixel formats of raw frames, by the names that FFmpeg has for them."""


class RawFrames(Footage):
    """Raw frames from a file, a FIFO or, for "-", standard input.

    No frame is dropped: if the reader is slow, the writer waits. Iterating raises InputError if there are no frames or
    the last one is incomplete.

    Args:
        path: The file or FIFO, or "-".
        size: The (height, width) of a frame in pixels.
        pixels: One of FORMATS.
        timeout: The maximum seconds to wait for a frame, or None for no limit.

    Raises:
        InputError: If ``pixels`` is not one of FORMATS or ``path`` does not exist.
    """

    def __init__(self, path: Path, size: tuple[int, int], pixels: str = "rgb24", timeout: float | None = None) -> None:
        if pixels not in FORMATS:
            raise InputError(f"{pixels!r} is not a format of raw frames: choose {' or '.join(FORMATS)}")
        standard = str(path) == "-"
        if not standard and not path.exists():
            raise InputError(f"{path} does not exist: give a file or a FIFO of raw frames, or - for standard input")
        self.path = None if standard else path
        self.name, self.stem = ("standard input", "stdin") if standard else (str(path), path.stem)
        self.timeout = timeout
        self._shape = (*size, 3)
        self._step = 1 if pixels == "rgb24" else -1

    def __iter__(self) -> Iterator[Frame]:
        with self._open() as file:
            for count in itertools.count():
                if (image := self._next(file, count)) is None:
                    return
                yield Frame(frame_name(count), partial(images.from_array, image))

    def _open(self) -> FileIO:
        """Open the file unbuffered: a thread that waits for data would hold a buffer's lock when Python exits."""
        try:
            return FileIO(sys.stdin.fileno(), closefd=False) if self.path is None else FileIO(self.path)
        except OSError as error:
            raise InputError(f"cannot read {self.name}: {error.strerror or error}") from error

    def _next(self, file: FileIO, count: int) -> NDArray[np.uint8] | None:
        """Return the next frame, or None at the end. ``count`` frames came before it."""
        image = np.empty(self._shape, np.uint8)
        filled, view = 0, image.reshape(-1).data
        while filled < len(view):
            got = file.readinto(view[filled:])
            if not got:
                break
            filled += got
        if filled == len(view):
            return image if self._step == 1 else np.ascontiguousarray(image[..., ::-1])
        if filled == 0 and count:
            return None
        height, width = self._shape[:2]
        raise InputError(
            f"{self.name} ended after {format_count(count)} and {filled} of the next one's {len(view)} bytes: "
            f"it was cut off, or its frames are not {height}x{width}"
        )
