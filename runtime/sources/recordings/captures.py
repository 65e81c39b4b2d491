"""OpenCV captures: opened with a timeout and without output on standard error, and read as RGB of square pixels."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import NoReturn, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.handoff_queue import Closed, HandoffQueue
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.sources.frame import DEFAULT_FPS, Frame, frame_name
from pem_edge.runtime.sources.recordings.tally import Tally

# Failures are raised as errors, so FFmpeg need not print them: -8 is its level "quiet".
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_MAX_FAILURES = 500
"""Failed reads in a row that count as the end, which OpenCV reports like a damaged frame."""

_MAX_FPS = 1000.0
"""Frames per second above which a claim is not believed."""

_MAX_ASPECT = 5.0
"""Ratio of a pixel's sides above which a claim is not believed."""

Value = TypeVar("Value")


def open_capture(
    target: str | int, backend: int = cv2.CAP_ANY, options: Sequence[int] = (), timeout: float | None = None
) -> cv2.VideoCapture:
    """Open a file, an address or a camera. The capture is not opened if that fails.

    Args:
        target: A path, an address, or the number of a camera.
        backend: One of OpenCV's ``cv2.CAP_*`` backends.
        options: OpenCV's properties and their values in turn.
        timeout: The maximum seconds to wait, or None for no limit.

    Raises:
        TimeoutError: If opening takes longer than ``timeout``.
    """
    return _call_in_thread(lambda: cv2.VideoCapture(target, backend, options), timeout)


def describe(capture: cv2.VideoCapture) -> tuple[float, int | None]:
    """Return the frames per second and the number of frames that a capture claims, see `believe`."""
    return believe(capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT))


def believe(fps: float, claimed: float) -> tuple[float, int | None]:
    """Return the frames per second, the default if the claim makes no sense; and the number of frames, None then."""
    return fps if 0 < fps <= _MAX_FPS else DEFAULT_FPS, int(claimed) if 0 < claimed < math.inf else None


def believe_aspect(width: float, height: float) -> float:
    """Return the width of a pixel by its height, 1 if the claim is beyond belief."""
    believable = width > 0 and height > 0 and 1 / _MAX_ASPECT <= width / height <= _MAX_ASPECT
    return width / height if believable else 1.0


def square(height: int, width: int, aspect: float) -> tuple[int, int]:
    """Return the size at which pixels of this width by height are square. Neither side gets smaller."""
    return (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)


def require_size(capture: cv2.VideoCapture, name: str) -> None:
    """Raise InputError if the frames of a capture, which ``name`` names, have too many pixels to be decoded."""
    images.require_pixels(capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH), name)


def read_recording(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    """Yield every frame that can be decoded. Raises InputError at the end if any were missing."""
    tally = Tally(*describe(capture))
    failures = 0
    while failures < _MAX_FAILURES:
        start = time.perf_counter()
        image = retrieve(capture, name) if capture.grab() else None
        if image is None:
            failures += 1
            continue
        spent = 1000 * (time.perf_counter() - start)
        position = _position(capture)
        yield Frame(frame_name(tally.count), partial(images.from_array, image), spent, position / 1000)
        tally.add(position, failures)
        failures = 0
    if loss := tally.describe_loss():
        raise InputError(f"{name} {loss}: replace it, or convert it again")


def retrieve(capture: cv2.VideoCapture, name: str) -> NDArray[np.uint8] | None:
    """Return the frame that was grabbed last, RGB uint8 (H, W, 3), or None if it cannot be decoded.

    Raises:
        InputError: If it is too large, or OpenCV fails. ``name`` is the source's name for the message.
    """
    with reading(name, InputError, expected="a video", cure="replace it, or convert it again"):
        decoded, image = capture.retrieve()
        if not decoded:
            return None
        height, width = square(image.shape[0], image.shape[1], _pixel_aspect(capture))
        images.require_pixels(height, width, name)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return np.asarray(rgb if rgb.shape[:2] == (height, width) else cv2.resize(rgb, (width, height)), np.uint8)


def _pixel_aspect(capture: cv2.VideoCapture) -> float:
    """Return the width of a pixel by its height, 1 if it is unknown or beyond belief."""
    aspect = believe_aspect(capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN))
    turned = capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 and capture.get(cv2.CAP_PROP_ORIENTATION_AUTO)
    return 1 / aspect if turned else aspect


def _position(capture: cv2.VideoCapture) -> float:
    """Return the timestamp of the frame that was grabbed last, in milliseconds."""
    position = capture.get(cv2.CAP_PROP_POS_MSEC)
    return position if math.isfinite(position) else 0.0


def _call_in_thread(call: Callable[[], Value], timeout: float | None) -> Value:
    """Return what ``call`` returns or raise what it raises, or raise TimeoutError after ``timeout`` seconds.

    The call runs in its own thread, so that one that never returns from a C library can be abandoned, also with Ctrl-C.
    """
    queue: HandoffQueue[Callable[[], Value]] = HandoffQueue()

    def work() -> None:
        with suppress(Closed):
            queue.put(_attempt(call))

    Thread(target=work, name="pem-open", daemon=True).start()
    try:
        outcome = queue.get(timeout)
    finally:
        queue.close()
    return outcome()


def _attempt(call: Callable[[], Value]) -> Callable[[], Value]:
    """Make the call, and return a function that returns its value or raises its error."""
    try:
        value = call()
    except Exception as error:
        return partial(_raise, error)
    return lambda: value


def _raise(error: Exception) -> NoReturn:
    raise error
