"""Recordings read by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.sources.frame import Frame
from pem_edge.runtime.sources.recordings import captures

_BACKEND = cv2.CAP_FFMPEG if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG) else cv2.CAP_ANY
"""The backend for files. Others may take digits in a name for the number of a file in a row."""


class OpenCvRecording:
    """A video file that was opened, to go through once; see `Recording`.

    OpenCV gets the file's descriptor, as it crashes on a name that is not UTF-8, and FFmpeg would take a name for more
    than a name: ``notes.txt`` for a film of its text, a list of other files for these.

    Raises:
        InputError: If the file cannot be read, or its frames are too large.
    """

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        with (
            reading(path, InputError, expected="a video", cure="give another file"),
            path.open("rb") as file,
        ):
            self._capture = captures.open_capture(f"/dev/fd/{file.fileno()}", _BACKEND)
        self.fps, self.length = captures.describe(self._capture)
        captures.require_size(self._capture, self._name)

    def is_playable(self) -> bool:
        """Return whether a frame can be decoded; the recording is used up then."""
        return self._capture.grab()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame that can be decoded. Raises InputError at the end if any were missing."""
        return captures.read_recording(self._capture, self._name)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
