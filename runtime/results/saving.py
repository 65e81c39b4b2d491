"""Saving results to a folder: drawings, panoptic maps, and a JSON file in COCO's panoptic format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.results import coco_format, png
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.timeline import Timeline
from pem_edge.runtime.results.video_file import VideoFile
from pem_edge.runtime.sources import Footage, Source
from pem_edge.runtime.versioned_json import JsonObject

KINDS = ("overlay", "panoptic", "json")
"""Kinds of output that can be saved."""

_LONGEST_GAP, _LONGEST_LIVE_GAP = 600.0, 2.0
"""Seconds that one drawing stays in a video at most. A live source stalls; a longer gap in a file is no time at all."""

_LOWEST_FPS, _HIGHEST_FPS = 1.0, 240.0
"""Frame rates of a video, which every player plays. Drawings are repeated or left out to keep the time."""

_CATEGORIES_BYTES = 1 << 16
"""Upper bound of the size of the categories in the JSON file."""


class Outputs:
    """The files in which results are saved.

    Use it in a ``with`` block, whose end finishes the files. If the block fails, the results so far are kept.

    Args:
        kinds: The kinds of output, each one of KINDS.
        folder: The folder.
        source: The source of the images, which determines the names of the files.
    """

    def __init__(self, kinds: Iterable[str], folder: Path, source: Source) -> None:
        self._folder = folder
        self._savers = {kind: _make_saver(kind, folder, source) for kind in kinds}

    def refuse_existing(self) -> None:
        """Raise OutputError if a file would be overwritten."""
        for saver in self._savers.values():
            for path in saver.paths:
                files.refuse_existing(path)

    def save(self, result: Result) -> dict[str, Path]:
        """Save a result and return its file for each kind.

        Raises:
            OutputError: If a file cannot be written, or the disk has too little space left to finish all files.
        """
        if needed := sum(saver.bytes_to_finish() for saver in self._savers.values()):
            files.require_space(self._folder, needed + result.image.nbytes)
        return {kind: saver.save(result) for kind, saver in self._savers.items()}

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        full = suppress(OutputError) if isinstance(error, OutputError) else nullcontext()  # report the first only
        with full, ExitStack() as finishing:  # finish all files, even if one fails
            for saver in self._savers.values():
                finishing.callback(saver.close)


class _Saver(ABC):
    """Saves one kind of output. ``paths`` are the files and folders that it will write."""

    paths: Iterable[Path]

    @abstractmethod
    def save(self, result: Result) -> Path:
        """Save a result and return its file, which may be incomplete until `close`."""

    def bytes_to_finish(self) -> int:
        """Return the maximum number of bytes that `close` may still write."""
        return 0

    def close(self) -> None:
        """Finish the file, if there is one for all results."""
        return


class _ImageSaver(_Saver):
    """Saves a PNG per result: the RGB uint8 image that ``render`` returns."""

    def __init__(self, kind: str, folder: Path, source: Source, render: Callable[[Result], NDArray[np.uint8]]) -> None:
        self._kind, self._folder, self._source, self._render = kind, folder, source, render
        names = [""] if isinstance(source, Footage) else source.stems
        self.paths = [_png(kind, folder, source, name) for name in names]

    def save(self, result: Result) -> Path:
        path = _png(self._kind, self._folder, self._source, result.name)
        png.write(path, self._render(result))
        return path


class _VideoSaver(_Saver):
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
        index, drawn = self._timeline.place(result.time), result.draw()
        while self._last is not None and self._file.frames < index:
            self._file.write(self._last)
        if self._live or self._file.frames == index:
            self._file.write(drawn)
        self._last = drawn
        return self._file.path

    def bytes_to_finish(self) -> int:
        return self._file.bytes_to_finish()

    def close(self) -> None:
        self._file.close()


class _JsonSaver(_Saver):
    """Saves ``panoptic.json``, which lists the segments of each panoptic map in COCO's format."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._path = folder / "panoptic.json"
        self._folder, self._source = folder, source
        self._images: list[msgspec.Raw] = []  # encoded, as dictionaries take ten times the memory
        self._annotations: list[msgspec.Raw] = []
        self._bytes = 0
        self.paths = [self._path]

    def save(self, result: Result) -> Path:
        image_id = _stem(self._source, result.name)
        height, width = result.panoptic.shape
        png = _png("panoptic", self._folder, self._source, result.name).relative_to(self._folder)
        self._images.append(
            self._encode(coco_format.image(image_id, printable(Path(result.name).name), (height, width)))
        )
        self._annotations.append(self._encode(coco_format.annotation(image_id, png.as_posix(), result.segments)))
        self._labels = result.labels
        return self._path

    def bytes_to_finish(self) -> int:
        return self._bytes + _CATEGORIES_BYTES if self._images else 0

    def close(self) -> None:
        if self._images:
            document = coco_format.document(self._annotations, self._images, self._labels)
            with files.write_atomically(self._path) as temporary:
                temporary.write_bytes(msgspec.json.encode(document))

    def _encode(self, record: JsonObject) -> msgspec.Raw:
        encoded = msgspec.json.encode(record)
        self._bytes += len(encoded) + 1
        return msgspec.Raw(encoded)


def _make_saver(kind: str, folder: Path, source: Source) -> _Saver:
    if kind == "json":
        return _JsonSaver(folder, source)
    if kind == "panoptic":
        return _ImageSaver(kind, folder, source, lambda result: coco_format.encode(result.panoptic))
    if isinstance(source, Footage):
        return _VideoSaver(folder, source)
    return _ImageSaver(kind, folder, source, Result.draw)


def _stem(source: Source, name: str) -> str:
    return name if isinstance(source, Footage) else source.stems[name]


def _png(kind: str, folder: Path, source: Source, name: str) -> Path:
    """Return the PNG of an image.

    The frames of a video have their own folder, which is what an empty ``name`` returns.
    """
    if isinstance(source, Footage):
        frames = folder / f"{source.stem}_{kind}"
        return frames / f"{name}.png" if name else frames
    return folder / f"{source.stems[name]}_{kind}.png"
