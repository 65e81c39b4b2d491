"""Saving a PNG per result, or the drawings as a video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results import png
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.saving.saver import Saver, png_path
from pem_edge.runtime.results.timeline import Timeline
from pem_edge.runtime.results.video_file import VideoFile
from pem_edge.runtime.sources import Footage, Source

_LONGEST_GAP, _LONGEST_LIVE_GAP = 600.0, 2.0
"""Seconds that one drawing stays in a video at most. A live source stalls; a longer gap in a file is no time at all."""

_LOWEST_FPS, _HIGHEST_FPS = 1.0, 240.0
"""Frame rates of a video, which every player plays. Drawings are repeated or left out to keep the time."""

Render = Callable[[Result], NDArray[np.uint8] | NDArray[np.uint16]]
"""Returns what `png.write` takes."""


class ImageSaver(Saver):
    """Saves a PNG per result: the image that ``render`` returns."""

    def __init__(self, kind: str, folder: Path, source: Source, render: Render) -> None:
        self._kind, self._folder, self._source, self._render = kind, folder, source, render
        names = [""] if isinstance(source, Footage) else source.stems
        self.paths = [png_path(kind, folder, source, name) for name in names]

    def save(self, result: Result) -> Path:
        """See `Saver.save`."""
        path = png_path(self._kind, self._folder, self._source, result.name)
        png.write(path, self._render(result))
        return path


class VideoSaver(Saver):
    """Saves the drawings of all frames as a video of constant rate.

    Its time is that of the frames: each drawing is repeated until the next one is due. One that comes too early for the
    rate is left out; not so of a live source, whose rate is often a guess.
    """

    def __init__(self, folder: Path, source: Footage) -> None:
        fps = min(max(source.fps, _LOWEST_FPS), _HIGHEST_FPS)
        self._file = VideoFile(folder / f"{source.stem}_overlay.mp4", fps)
        self._live = source.live
        self._timeline = Timeline(fps, _LONGEST_LIVE_GAP if source.live else _LONGEST_GAP)
        self._last: NDArray[np.uint8] | None = None
        self.paths = [self._file.path]

    def save(self, result: Result) -> Path:
        """See `Saver.save`."""
        index, drawn = self._timeline.place(result.time), result.draw()
        while self._last is not None and self._file.frames < index:
            self._file.write(self._last)
        if self._live or self._file.frames == index:
            self._file.write(drawn)
        self._last = drawn
        return self._file.path

    def bytes_to_finish(self) -> int:
        """See `Saver.bytes_to_finish`."""
        return self._file.bytes_to_finish()

    def close(self) -> None:
        """Finish the video."""
        self._file.close()
