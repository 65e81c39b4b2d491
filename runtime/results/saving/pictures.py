"""Saving a PNG per result, or the drawings as a video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results import encoders, png
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.saving.saver import Saver, png_path, png_paths
from pem_edge.runtime.results.timeline import Timeline
from pem_edge.runtime.results.video_file import VideoFile
from pem_edge.runtime.sources import Footage, Several, Source

_LONGEST_GAP, _LONGEST_LIVE_GAP = 600.0, 2.0
"""Seconds that one drawing stays in a video at most. A live source stalls; a longer gap in a file is no time at all."""

_LOWEST_FPS, _HIGHEST_FPS = 1.0, 240.0
"""Frame rates of a video, which every player plays."""

Render = Callable[[Result], NDArray[np.uint8] | NDArray[np.uint16]]
"""Returns what `png.write` takes."""


class ImageSaver(Saver):
    """Saves a PNG per result: the image that ``render`` returns."""

    def __init__(self, kind: str, folder: Path, source: Source, render: Render) -> None:
        self._kind, self._folder, self._source, self._render = kind, folder, source, render
        self.paths = png_paths(kind, folder, source)

    def save(self, result: Result) -> Path:
        """See `Saver.save`."""
        path = png_path(self._kind, self._folder, self._source, result.name)
        png.write(path, self._render(result))
        return path


class VideoSaver(Saver):
    """Saves the drawings of all frames as a video, each at its frame's time.

    Where the video can only have a constant rate, drawings are repeated until the next one is due, and one that comes
    too early is left out; not so of a live source, whose rate is often a guess.
    """

    def __init__(self, folder: Path, source: Footage) -> None:
        self._source = source
        self._path = folder / f"{source.stem}_overlay.mp4"
        self._file: VideoFile | None = None
        self.paths = [self._path]

    def save(self, result: Result) -> Path:
        """See `Saver.save`."""
        if self._file is None:  # what the rate is, some sources know after their first frame
            fps = min(max(self._source.fps, _LOWEST_FPS), _HIGHEST_FPS)
            self._file = VideoFile(self._path, fps, keep_all=self._source.live)
            self._timeline = Timeline(fps, _LONGEST_LIVE_GAP if self._source.live else _LONGEST_GAP)
        self._file.write(result.draw(), self._timeline.advance(result.time))
        return self._path

    def advice(self) -> str | None:
        """See `Saver.advice`."""
        return encoders.advice()

    def bytes_to_finish(self) -> int:
        """See `Saver.bytes_to_finish`."""
        return self._file.bytes_to_finish() if self._file else 0

    def close(self) -> None:
        """Finish the video."""
        if self._file:
            self._file.close()


class OverlaysSaver(Saver):
    """Saves the drawings of pictures and videos: of pictures as PNGs, of each video as a video."""

    def __init__(self, folder: Path, source: Several) -> None:
        self._source = source
        self._images = ImageSaver("overlay", folder, source, Result.draw)
        self._videos = {part.name: VideoSaver(folder, part) for part in source.parts if isinstance(part, Footage)}
        self._video: VideoSaver | None = None
        pictures = (part for part in source.parts if not isinstance(part, Footage))
        self.paths = [
            *(path for part in pictures for path in png_paths("overlay", folder, part)),
            *(path for video in self._videos.values() for path in video.paths),
        ]

    def save(self, result: Result) -> Path:
        """See `Saver.save`. Another video than the last result's finishes that one's."""
        part, _ = self._source.locate(result.name)
        video = self._videos.get(part.name)
        if self._video is not None and video is not self._video:
            self._video.close()
        self._video = video
        return (video or self._images).save(result)

    def advice(self) -> str | None:
        """See `Saver.advice`."""
        return encoders.advice() if self._videos else None

    def bytes_to_finish(self) -> int:
        """See `Saver.bytes_to_finish`."""
        return self._video.bytes_to_finish() if self._video else 0

    def close(self) -> None:
        """Finish the last video."""
        if self._video:
            self._video.close()
