"""OpenCV's captures: opened without waiting forever and without a word on standard error, read as RGB."""

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
from pem_edge.runtime.sources.frame import USUAL_FPS, Frame, frame_name
from pem_edge.runtime.sources.tally import Tally

# What fails is raised, not printed. OpenCV reads the variable when it first meets FFmpeg; -8 is quiet.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_ATTEMPTS = 500  # OpenCV says of a damaged frame what it says of the end; nothing after so many is the end

Value = TypeVar("Value")


def open_capture(
    target: str | int, backend: int = cv2.CAP_ANY, options: Sequence[int] = (), timeout: float | None = None
) -> cv2.VideoCapture:
    """Open a file, an address or a camera, which may fail. Raises TimeoutError after ``timeout`` seconds."""
    return _in_the_background(lambda: cv2.VideoCapture(target, backend, options), timeout)


def described(capture: cv2.VideoCapture) -> tuple[float, int | None]:
    """Return frames a second, and how many there are by what the file or stream says of itself, None if it does not."""
    claimed = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS, claimed if claimed > 0 else None


def recorded(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    """Yield every frame that can be decoded. Raises InputError at the end if some were missing."""
    tally = Tally(*described(capture))
    failures = 0
    while failures < _ATTEMPTS:
        start = time.perf_counter()
        image = retrieved(capture) if capture.grab() else None
        if image is None:
            failures += 1
            continue
        spent = 1000 * (time.perf_counter() - start)
        yield Frame(frame_name(tally.count), partial(images.from_array, image), spent)
        tally.add(capture.get(cv2.CAP_PROP_POS_MSEC), failures)
        failures = 0
    if complaint := tally.complaint():
        raise InputError(f"{name} {complaint}: replace it, or convert it again")


def retrieved(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """Return the frame last grabbed, RGB uint8 (H, W, 3), None if it cannot be decoded."""
    decoded, image = capture.retrieve()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if decoded else None


def _in_the_background(call: Callable[[], Value], timeout: float | None) -> Value:
    """Call in a thread of its own, which may stay in a C library forever; Ctrl-C ends the waiting for it."""
    answer: HandoffQueue[Value] = HandoffQueue()

    def work() -> None:
        with suppress(Closed):
            answer.put(call())

    Thread(target=work, name="pem-open", daemon=True).start()
    try:
        return answer.get(timeout)
    finally:
        answer.close()
