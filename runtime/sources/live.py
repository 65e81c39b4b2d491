"""What comes when it comes: cameras, and streams from an address."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import cv2

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources import captures
from pem_edge.runtime.sources.frame import Footage, Frame, counted, frame_name

_CURE = "check it and the way to it, or allow more seconds with --timeout"


class _Capture(Footage):
    """Held open from the start, since opening takes seconds; a second time through opens it again.

    Raises InputError if it cannot be opened.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._held: cv2.VideoCapture | None = self._opened()
        self.fps, self.length = captures.described(self._held)
        self.live = self.length is None

    def __iter__(self) -> Iterator[Frame]:
        capture, self._held = self._held or self._opened(), None
        try:
            yield from _newest(capture, self.name) if self.live else captures.recorded(capture, self.name)
        finally:
            capture.release()

    def _opened(self) -> cv2.VideoCapture:
        try:
            capture = self._open()
        except TimeoutError:
            raise InputError(f"{self.name} did not answer for {self.timeout:g} s: {_CURE}") from None
        if not capture.isOpened():
            raise InputError(self._absent())
        return capture

    @abstractmethod
    def _open(self) -> cv2.VideoCapture:
        """Open the capture. Raises TimeoutError."""

    @abstractmethod
    def _absent(self) -> str:
        """Return what to say if there is none."""


class Camera(_Capture):
    """A camera by its number (/dev/video0 is 0)."""

    def __init__(self, number: int, timeout: float | None) -> None:
        self.number, self.name, self.stem = number, f"camera {number}", f"camera{number}"
        super().__init__(timeout)
        self.live, self.length = True, None

    def _open(self) -> cv2.VideoCapture:
        return captures.open_capture(self.number, timeout=self.timeout)

    def _absent(self) -> str:
        return f"there is no {self.name}, or it is in use: see ls /dev/video*, and be in the group video to use one"


class Address(_Capture):
    """A stream at an address such as ``rtsp://host/path``; one that says how long it is counts as a recording."""

    def __init__(self, address: str, timeout: float | None) -> None:
        self._address = address
        parts = urlsplit(address)
        host = parts.hostname or ""
        self.name = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()  # no passwords
        self.stem = re.sub(r"[^\w.-]+", "_", host + parts.path).strip("._") or "stream"
        super().__init__(timeout)

    def _open(self) -> cv2.VideoCapture:
        limits: list[int] = []
        if self.timeout is not None:  # whoever waits for an image gives up first
            patience = round(2000 * self.timeout)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience, cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience]
        return captures.open_capture(self._address, cv2.CAP_FFMPEG, limits, self.timeout)

    def _absent(self) -> str:
        return (
            f"{self.name} gives no video: check the address, the user and the password, and whether it can be reached"
        )


def _newest(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    """Yield each frame as it comes. Raises InputError when there are no more, as live streams do not end."""
    count = 0
    while capture.grab():
        start = time.perf_counter()
        if (image := captures.retrieved(capture)) is None:
            continue
        spent = 1000 * (time.perf_counter() - start)
        yield Frame(frame_name(count), partial(images.from_array, image), spent)
        count += 1
    raise InputError(f"{name} was lost after {counted(count)}: {_CURE}")
