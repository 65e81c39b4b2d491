"""What a live page shows: written by the run, read by any number of viewers, none of whom it waits for."""

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
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECENT = 30  # results that the pace and the times are means of
_WIDEST = 1280  # pixels; a wider drawing is scaled down
_QUALITY = 85


class Board:
    """The state of a run. ``show`` takes no time worth mentioning; drawings are made only while somebody watches."""

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

    def show(self, result: Result, dropped: int) -> None:
        """Take in the newest result, and the number of images dropped so far."""
        with self._changed:
            self._times.append(time.monotonic())
            self._stages.append(dict(result.milliseconds))
            self._classes = _classes(result)
            self._frames += 1
            self._dropped = dropped
        with suppress(Closed):
            self._newest.put(result, replace=True)

    def end(self) -> None:
        """Tell viewers that nothing more will come. May be called more than once."""
        self._newest.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def status(self) -> JsonObject:
        """Return everything but the drawing: times in milliseconds, shares of the image from 0 to 1."""
        with self._changed:
            stages = list(dict.fromkeys(stage for times in self._stages for stage in times))
            return {
                **self._about,
                "running": not self._ended,
                "frames": self._frames,
                "dropped": self._dropped,
                "fps": self._pace(),
                "milliseconds": {stage: _mean([times.get(stage, 0.0) for times in self._stages]) for stage in stages},
                "classes": self._classes,
                "viewers": self._viewers,
            }

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have drawings made within the block."""
        with self._changed:
            self._viewers += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._viewers -= 1

    def drawing(self, after: int) -> tuple[int, bytes] | None:
        """Return the newest drawing as JPEG and its number, once that is greater than ``after``; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._drawn > after or self._ended)
            return (self._drawn, self._jpeg) if self._drawn > after else None

    def _pace(self) -> float:
        """Return the recent results per second, which falls while none come."""
        if len(self._times) < 2:
            return 0.0
        until = self._times[-1] if self._ended else max(self._times[-1], time.monotonic() - _mean(self._gaps()))
        return (len(self._times) - 1) / max(until - self._times[0], 1e-6)

    def _gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self._times)]

    def _draw(self) -> None:
        with suppress(Closed):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._viewers > 0 or self._ended)
                jpeg = _jpeg(self._newest.get())
                with self._changed:
                    self._jpeg = jpeg
                    self._drawn += 1
                    self._changed.notify_all()


def _classes(result: Result) -> list[JsonObject]:
    """Return, for each class in sight, how many segments it has and their share of the image; the largest first."""
    counts = Counter(segment.category_id for segment in result.segments)
    areas: Counter[int] = Counter()
    for segment in result.segments:
        areas[segment.category_id] += segment.area
    return [
        {
            "name": result.labels[index].name,
            "color": "#" + bytes(result.labels[index].color).hex(),
            "count": counts[index],
            "share": area / result.panoptic.size,
        }
        for index, area in areas.most_common()
    ]


def _jpeg(result: Result) -> bytes:
    drawn = result.draw()
    if (scale := _WIDEST / drawn.shape[1]) < 1:
        drawn = np.asarray(cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
