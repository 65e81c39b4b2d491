"""The state that a live page shows.

The run updates it, and any number of viewers read it. The run never waits for a viewer.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import contextmanager, suppress
from itertools import pairwise
from threading import Condition, Thread
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pem_edge.runtime.handoff_queue import Closed, HandoffQueue
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECENT = 30
"""Number of results over which the frame rate and the times are averaged."""

_MAX_WIDTH = 1280
"""Maximum width of a drawing in pixels. Wider drawings are scaled down."""

_JPEG_QUALITY = 85


class Board:
    """The state of a run, which threads may read and update at the same time.

    A background thread draws the results, and only while somebody watches, so drawing never delays the run.

    Args:
        source: The name of the source, for the page's title.
        model: The names of the model and its backend.
    """

    def __init__(self, source: str, model: str) -> None:
        self._about = {"source": source, "model": model}
        self._changed = Condition()
        self._times: deque[float] = deque(maxlen=_RECENT)
        self._stages: deque[dict[str, float]] = deque(maxlen=_RECENT)
        self._classes: list[JsonObject] = []
        self._frames = self._dropped = self._viewers = self._drawn = 0
        self._jpeg = b""
        self._ended = False
        self._newest: HandoffQueue[Result] = HandoffQueue()
        Thread(target=self._draw, name="pem-live-draw", daemon=True).start()

    def update(self, result: Result, dropped: int) -> None:
        """Record the newest result and the number of images dropped so far.

        What the task shows is computed here if it was not before, as a result may not be able to any more later.
        """
        classes = _summarize_classes(result)
        with self._changed:
            self._times.append(time.monotonic())
            self._stages.append(dict(result.milliseconds))
            self._classes = classes
            self._frames += 1
            self._dropped = dropped
        with suppress(Closed):
            self._newest.put(result, replace=True)

    def end(self) -> None:
        """Mark the run as ended and wake waiting viewers. May be called more than once."""
        self._newest.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def status(self) -> JsonObject:
        """Return the state without the drawing, as the page reads it from ``status.json``.

        Times are in milliseconds, and a class's "share" is the fraction of the image that it covers, 0 to 1.
        """
        with self._changed:
            stages = list(dict.fromkeys(stage for times in self._stages for stage in times))
            return {
                **self._about,
                "running": not self._ended,
                "frames": self._frames,
                "dropped": self._dropped,
                "fps": self._frame_rate(),
                "milliseconds": {stage: _mean([times.get(stage, 0.0) for times in self._stages]) for stage in stages},
                "classes": self._classes,
                "viewers": self._viewers,
            }

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Count a viewer during the ``with`` block. Drawings are made while there is at least one."""
        with self._changed:
            self._viewers += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1

    def wait_for_drawing(self, after: int) -> tuple[int, bytes] | None:
        """Wait for a drawing numbered above ``after`` and return its number and JPEG bytes.

        Return None if the run ends first.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._drawn > after or self._ended)
            return (self._drawn, self._jpeg) if self._drawn > after else None

    def _frame_rate(self) -> float:
        """Return the recent frame rate. It falls while no results arrive."""
        if len(self._times) < 2:
            return 0.0
        end = self._times[-1]
        if not self._ended:  # a result that is late by more than the mean interval lengthens the measured time
            end = max(end, time.monotonic() - _mean([later - earlier for earlier, later in pairwise(self._times)]))
        return (len(self._times) - 1) / max(end - self._times[0], 1e-6)

    def _draw(self) -> None:
        with suppress(Closed):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._viewers > 0 or self._ended)
                jpeg = _encode_jpeg(self._newest.get())
                with self._changed:
                    self._jpeg = jpeg
                    self._drawn += 1
                    self._changed.notify_all()


def _summarize_classes(result: Result) -> list[JsonObject]:
    """Return the name, color, number of regions and fraction of the image of each class found, largest first."""
    segments, colors = result.regions().segments, drawing.colors.of_classes(result.labels)
    counts = Counter(segment.category_id for segment in segments)
    areas: Counter[int] = Counter()
    for segment in segments:
        areas[segment.category_id] += segment.area
    return [
        {
            "name": result.labels[index].name,
            "color": "#" + bytes(colors[index]).hex(),
            "count": counts[index],
            "share": area / result.panoptic.size,
        }
        for index, area in areas.most_common()
    ]


def _encode_jpeg(result: Result) -> bytes:
    drawn = result.draw(legend=False)  # the page lists the classes
    if (scale := _MAX_WIDTH / drawn.shape[1]) < 1:
        drawn = np.asarray(cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
