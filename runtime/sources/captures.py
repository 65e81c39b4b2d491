"""OpenCV captures: opened with a timeout and without output on standard error, and read as RGB."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.handoff_queue import Closed, HandoffQueue
from pem_edge.runtime.sources.frame import DEFAULT_FPS, Frame, frame_name
from pem_edge.runtime.sources.tally import Tally

# Failures are raised as errors, so FFmpeg need not print them: -8 is its level "quiet".
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_MAX_FAILURES = 500
"""Failed reads in a row that count as the end, which OpenCV reports like a damaged frame."""

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
    """Return the frames per second and the number of frames that a capture claims, None if it claims none."""
    claimed = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS, claimed if claimed > 0 else None


def read_recording(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    """Yield every frame that can be decoded. Raises InputError at the end if any were missing."""
    tally = Tally(*describe(capture))
    failures = 0
    while failures < _MAX_FAILURES:
        start = time.perf_counter()
        image = retrieve(capture) if capture.grab() else None
        if image is None:
            failures += 1
            continue
        spent = 1000 * (time.perf_counter() - start)
        yield Frame(frame_name(tally.count), partial(images.from_array, image), spent)
        tally.add(capture.get(cv2.CAP_PROP_POS_MSEC), failures)
        failures = 0
    if loss := tally.describe_loss():
        raise InputError(f"{name} {loss}: replace it, or convert it again")


def retrieve(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """Return the frame that was grabbed last, RGB uint8 (H, W, 3), or None if it cannot be decoded."""
    decoded, image = capture.retrieve()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if decoded else None


def _call_in_thread(call: Callable[[], Value], timeout: float | None) -> Value:
    """Return what ``call`` returns, or raise TimeoutError after ``timeout`` seconds.

    The call runs in its own thread, so that one that never returns from a C library can be abandoned, also with Ctrl-C.
    """
    queue: HandoffQueue[Value] = HandoffQueue()

    def work() -> None:
        with suppress(Closed):
            queue.put(call())

    Thread(target=work, name="pem-open", daemon=True).start()
    try:
        return queue.get(timeout)
    finally:
        queue.close()
