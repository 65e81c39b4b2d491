"""Saving results to a folder: drawings, panoptic maps, and a JSON file in COCO's panoptic format."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results import coco_format
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.video_file import VideoFile
from pem_edge.runtime.sources import Footage, Source
from pem_edge.runtime.versioned_json import JsonObject

KINDS = ("overlay", "panoptic", "json")
"""Kinds of output that can be saved."""

_MAX_REPEAT_SECONDS = 2.0
"""Maximum seconds that one drawing stays in the video of a live source."""

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
        with files.write_atomically(path, durable=False) as temporary:
            temporary.write_bytes(cv2.imencode(".png", _bgr(self._render(result)))[1].tobytes())
        return path


class _VideoSaver(_Saver):
    """Saves the drawings of all frames as a video. Frames of a live source are repeated to keep its timing."""

    def __init__(self, folder: Path, source: Footage) -> None:
        self._file = VideoFile(folder / f"{source.stem}_overlay.mp4", source.fps)
        self._fps, self._live = source.fps, source.live
        self._start: float | None = None
        self.paths = [self._file.path]

    def save(self, result: Result) -> Path:
        drawn = result.draw()
        for _ in range(self._repetitions()):
            self._file.write(drawn)
        return self._file.path

    def bytes_to_finish(self) -> int:
        return self._file.bytes_to_finish()

    def close(self) -> None:
        self._file.close()

    def _repetitions(self) -> int:
        """Return the number of times to write the frame, so that the video keeps up with the clock."""
        if not self._live:
            return 1
        now = time.monotonic()
        self._start = now if self._start is None else self._start
        due = int((now - self._start) * self._fps) + 1 - self._file.frames
        repetitions = min(max(1, due), round(_MAX_REPEAT_SECONDS * self._fps))
        self._start += max(0, due - repetitions) / self._fps  # a longer gap is left out of the video
        return repetitions


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
        self._images.append(self._encode(coco_format.image(image_id, Path(result.name).name, (height, width))))
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


def _bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
