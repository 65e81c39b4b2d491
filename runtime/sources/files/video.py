"""Video files, read by PyAV, or by OpenCV where that is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.sources.frame import Footage, Frame
from pem_edge.runtime.sources.names import usable
from pem_edge.runtime.sources.recordings import pyav
from pem_edge.runtime.sources.recordings.opencv import OpenCvRecording

JPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
"""Suffixes of videos that begin like an image: they are JPEG images in a row."""

SUFFIXES = JPEG_SUFFIXES | {
    *(".264", ".265", ".3gp", ".asf", ".avi", ".dav", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mkv"),
    *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
}
"""Suffixes by which videos are found in a folder."""

_AGAIN = "download or copy it again"
"""Cure for a file that is damaged or incomplete, as on its way."""


class Recording(Protocol):
    """A video file that was opened, to go through once."""

    fps: float
    length: int | None

    def is_playable(self) -> bool:
        """Return whether a frame can be decoded; the recording is used up then."""

    def close(self) -> None:
        """Close the file."""

    def __iter__(self) -> Iterator[Frame]: ...


_READERS: tuple[Callable[[Path], Recording | None], ...] = (pyav.open_recording, OpenCvRecording)
"""Open a video; the first one that can play it does."""


class Video(Footage):
    """The frames of a video file. Iterating skips damaged frames and raises InputError after the last frame if any.

    Frames whose pixels are not square are scaled, so that they are.

    Args:
        path: The file.
        stem: The beginning of the names of outputs; None for the file's.
        late: Whether the file is only opened when it is iterated over, and what is wrong with it found then.

    Raises:
        InputError: If the file holds no video that can be decoded, or its frames are too large.
    """

    def __init__(self, path: Path, stem: str | None = None, *, late: bool = False) -> None:
        self.path, self.name, self.stem = path, str(path), stem or usable(path.stem)
        self._open = None if late else self._choose_reader()

    def __iter__(self) -> Iterator[Frame]:
        open_recording = self._open or self._choose_reader()
        if (recording := open_recording(self.path)) is None:
            raise InputError(f"{self.name} is no video any more: it was replaced")
        with closing(recording):
            yield from recording

    def _choose_reader(self) -> Callable[[Path], Recording | None]:
        """Return what opens the file, and learn its rate and length."""
        for open_recording in _READERS:
            if (recording := open_recording(self.path)) is None:
                continue
            with closing(recording):
                if recording.is_playable():
                    self.fps, self.length = recording.fps, recording.length
                    return open_recording
        with reading(self.path, InputError, expected="a video or an image", cure=_AGAIN):
            raise InputError(f"{self.path} {self._fault()}")

    def _fault(self) -> str:
        """Return why no reader opens the file, and what helps."""
        if self.path.stat().st_size == 0:
            return f"has 0 bytes, expected a video or an image: {_AGAIN}"
        suffix = self.path.suffix.lower()
        if suffix in SUFFIXES:
            cure = _AGAIN if suffix == ".mp4" else f"{_AGAIN}, or convert it to .mp4 (H.264)"
            return f"is not a video that can be decoded: it is damaged, incomplete or in an unknown codec; {cure}"
        return "is not a video that can be decoded, nor an image: convert it to .mp4 (H.264) or .jpg"
