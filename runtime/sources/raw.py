"""Raw frames from another program, such as ``ffmpeg -i ... -f rawvideo -pix_fmt rgb24 -``."""

from __future__ import annotations

import itertools
import select
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import absence, reading
from pem_edge.runtime.sources.frame import Footage, Frame, format_count, frame_name
from pem_edge.runtime.sources.names import usable

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
        InputError: If ``pixels`` is not one of FORMATS, ``size`` is not that of an image, or ``path`` does not exist.
    """

    def __init__(self, path: Path, size: tuple[int, int], pixels: str = "rgb24", timeout: float | None = None) -> None:
        if pixels not in FORMATS:
            raise InputError(f"{pixels!r} is not a format of raw frames: choose {' or '.join(FORMATS)}")
        self.path = None if str(path) == "-" else path
        self.name, self.stem = ("standard input", "stdin") if self.path is None else (str(path), usable(path.stem))
        self.timeout = timeout
        self._shape = (*_check_size(size, self.name), 3)
        self._step = 1 if pixels == "rgb24" else -1
        with self._reading():
            if self.path is not None and not path.exists():
                raise InputError(f"{absence(path)}: give a file or a FIFO of raw frames, or - for standard input")
            self.recorded = self.path is not None and path.is_file()

    def __iter__(self) -> Iterator[Frame]:
        with self._open() as file:
            for count in itertools.count():
                if (image := self._next(file, count)) is None:
                    return
                yield Frame(frame_name(count), partial(images.from_array, image))

    def _open(self) -> FileIO:
        """Open the file unbuffered: a thread that waits for data would hold a buffer's lock when Python exits."""
        if self.path is None and sys.stdin is None:
            raise InputError("standard input is closed: connect it, or give a file or a FIFO of raw frames")
        with self._reading():
            return FileIO(sys.stdin.fileno(), closefd=False) if self.path is None else FileIO(self.path)

    def _reading(self) -> AbstractContextManager[None]:
        return reading(self.name, InputError, expected="raw frames", cure="give a file, a FIFO or - for standard input")

    def _next(self, file: FileIO, count: int) -> NDArray[np.uint8] | None:
        """Return the next frame, or None at the end. ``count`` frames came before it."""
        with self._reading():
            image = np.empty(self._shape, np.uint8)
            filled, view = 0, image.reshape(-1).data
            while filled < len(view):
                got = file.readinto(view[filled:])
                if got is None:  # standard input may be set not to wait
                    select.select([file], [], [])
                elif got == 0:
                    break
                filled += got or 0
        if filled == len(view):
            return image if self._step == 1 else np.ascontiguousarray(image[..., ::-1])
        if filled == 0 and count:
            return None
        height, width = self._shape[:2]
        raise InputError(
            f"{self.name} ended after {format_count(count)} and {filled} of the next one's {len(view)} bytes: "
            f"it was cut off, or its frames are not {height}x{width}"
        )


def _check_size(size: tuple[int, int], name: str) -> tuple[int, int]:
    """Return ``size`` as it is, or raise InputError if it is not the size of an image."""
    height, width = size
    if min(height, width) < 1:
        raise InputError(f"the frames of {name} cannot be {height}x{width}: give a height and a width of 1 or more")
    images.require_pixels(height, width, name)
    return height, width
