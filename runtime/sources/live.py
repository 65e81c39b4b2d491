"""Live sources: cameras, and streams from an address."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from urllib.parse import SplitResult, urlsplit

import cv2

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.frame import Footage, Frame, format_count, frame_name
from pem_edge.runtime.sources.names import usable
from pem_edge.runtime.sources.recordings import captures

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp")
"""Schemes of addresses of streams. FFmpeg has more, some of which would open files."""

_CURE = "check it and the way to it, or give a longer timeout"


class Capture(Footage):
    """A source whose capture is opened at once, as that takes seconds, and again for every further iteration.

    Raises:
        InputError: If the capture cannot be opened.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._unused: cv2.VideoCapture | None = self._open()
        self.fps, self.length = captures.describe(self._unused)
        self.live = self.length is None

    def __iter__(self) -> Iterator[Frame]:
        capture, self._unused = self._unused or self._open(), None
        try:
            yield from _read_live(capture, self.name) if self.live else captures.read_recording(capture, self.name)
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        try:
            capture = self._start_capture()
        except TimeoutError:
            raise InputError(f"{self.name} did not answer for {self.timeout:g} s: {_CURE}") from None
        if not capture.isOpened():
            raise InputError(self._absence_message())
        captures.require_size(capture, self.name)
        return capture

    @abstractmethod
    def _start_capture(self) -> cv2.VideoCapture:
        """Return the capture, which is not opened if that fails. Raises TimeoutError."""

    @abstractmethod
    def _absence_message(self) -> str:
        """Return the message for a capture that is not opened."""


class Camera(Capture):
    """A camera, by its number: 0 is /dev/video0."""

    def __init__(self, number: int, timeout: float | None) -> None:
        self.number, self.name, self.stem = number, f"camera {number}", f"camera{number}"
        super().__init__(timeout)
        self.live, self.length = True, None

    def _start_capture(self) -> cv2.VideoCapture:
        return captures.open_capture(self.number, timeout=self.timeout)

    def _absence_message(self) -> str:
        return f"there is no {self.name}, or it is in use: see ls /dev/video*, and be in the group video to use one"


class Address(Capture):
    """A stream from an address such as ``rtsp://host/path``. If it states its length, it is a recording, not live."""

    def __init__(self, address: str, timeout: float | None) -> None:
        self._address = address
        parts = _split(address)
        without_secrets = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        self.name = without_secrets.geturl()
        self.stem = usable(
            re.sub(r"[^\w.-]+", "_", f"{parts.hostname or parts.scheme}{parts.path}").strip("._") or "stream"
        )
        super().__init__(timeout)

    def _start_capture(self) -> cv2.VideoCapture:
        limits: list[int] = []
        if self.timeout is not None:  # twice as long, so that the reader's own timeout comes first
            milliseconds = round(2000 * self.timeout)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
        return captures.open_capture(self._address, cv2.CAP_FFMPEG, limits, self.timeout)

    def _absence_message(self) -> str:
        return (
            f"{self.name} gives no video: check the address, the user and the password, and whether it can be reached"
        )


def _split(address: str) -> SplitResult:
    """Return the parts of an address. Raises InputError, without the password, if it is malformed."""
    try:
        address.encode()
        parts = urlsplit(address)
        listens = parts.scheme == "udp" and parts.port is not None  # to all of its own addresses: udp://@:1234
        if (parts.hostname or listens) and parts.port != 0 and address.isprintable():
            return parts
    except ValueError:  # by any of the first three lines
        pass
    scheme, _, rest = address.partition("://")
    shown = rest.rpartition("@")[2].partition("?")[0]
    raise InputError(
        f"{scheme}://{shown} is malformed, expected {scheme}://host:port/path: check host and port, and write special "
        "characters of a password as %2F and the like"
    )


def _read_live(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    """Yield each frame as it arrives. Raises InputError if the frames end, as a live stream has no end."""
    count = 0
    while capture.grab():
        start = time.perf_counter()
        if (image := captures.retrieve(capture, name)) is None:
            continue
        spent = 1000 * (time.perf_counter() - start)
        yield Frame(frame_name(count), partial(images.from_array, image), spent, start)
        count += 1
    raise InputError(f"{name} was lost after {format_count(count)}: {_CURE}")
