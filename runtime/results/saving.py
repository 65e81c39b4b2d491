"""What a run leaves in its output folder: drawings, panoptic maps, and their description in COCO's format."""

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

_LONGEST_REPEATED = 2.0  # seconds that a drawing stays in the video of a live source
_CATEGORIES = 1 << 16  # bytes that they may take in the description


class Outputs:
    """Everything a run is to keep in ``folder``, of ``kinds`` (out of `KINDS`).

    A ``with`` block finishes the files at its end, also if it fails: what was done until then is kept.
    """

    def __init__(self, kinds: Iterable[str], folder: Path, source: Source) -> None:
        self._folder = folder
        self._keepers = {kind: _keeper(kind, folder, source) for kind in kinds}

    def refuse_existing(self) -> None:
        """Raise OutputError if anything would be overwritten."""
        for keeper in self._keepers.values():
            for path in keeper.planned:
                files.refuse_existing(path)

    def save(self, result: Result) -> dict[str, Path]:
        """Keep ``result``; returns where, by kind.

        Raises OutputError, also where so little of the disk is left that what was begun could not be finished.
        """
        if needed := sum(keeper.to_finish() for keeper in self._keepers.values()):
            files.require_space(self._folder, needed + result.image.nbytes)
        return {kind: keeper.save(result) for kind, keeper in self._keepers.items()}

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        full = suppress(OutputError) if isinstance(error, OutputError) else nullcontext()  # one line tells of it
        with full, ExitStack() as finishing:  # each, even if another one fails
            for keeper in self._keepers.values():
                finishing.callback(keeper.close)


class _Keeper(ABC):
    """Keeps one kind of output. ``planned`` is what it will write."""

    planned: Iterable[Path]

    @abstractmethod
    def save(self, result: Result) -> Path:
        """Keep ``result``; returns the file that has it, then or after `close`."""

    def to_finish(self) -> int:
        """Return bytes of disk that `close` may need."""
        return 0

    def close(self) -> None:
        """Finish what is written as a whole."""
        return


class _Images(_Keeper):
    """One PNG an image, of what ``render`` makes of its result (RGB uint8)."""

    def __init__(self, what: str, folder: Path, source: Source, render: Callable[[Result], NDArray[np.uint8]]) -> None:
        self._what, self._folder, self._source, self._render = what, folder, source, render
        names = [""] if isinstance(source, Footage) else source.stems
        self.planned = [_png(what, folder, source, name) for name in names]

    def save(self, result: Result) -> Path:
        path = _png(self._what, self._folder, self._source, result.name)
        with files.writing(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", _bgr(self._render(result)))[1].tobytes())
        return path


class _DrawnVideo(_Keeper):
    """The drawings of a source's frames as a video; those of a live one as long as they were the newest."""

    def __init__(self, folder: Path, source: Footage) -> None:
        self._file = VideoFile(folder / f"{source.stem}_overlay.mp4", source.fps)
        self._fps, self._live = source.fps, source.live
        self._start: float | None = None
        self.planned = [self._file.path]

    def save(self, result: Result) -> Path:
        drawn = result.draw()
        for _ in range(self._times()):
            self._file.write(drawn)
        return self._file.path

    def to_finish(self) -> int:
        return self._file.to_finish()

    def close(self) -> None:
        self._file.close()

    def _times(self) -> int:
        """Return how often a frame is repeated for the video to keep up with the clock."""
        if not self._live:
            return 1
        now = time.monotonic()
        self._start = now if self._start is None else self._start
        late = int((now - self._start) * self._fps) + 1 - self._file.frames
        times = min(max(1, late), round(_LONGEST_REPEATED * self._fps))
        self._start += max(0, late - times) / self._fps  # a longer gap is cut
        return times


class _Description(_Keeper):
    """``panoptic.json``, which tells the segments of each panoptic map."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._path = folder / "panoptic.json"
        self._folder, self._source = folder, source
        self._images: list[msgspec.Raw] = []  # encoded, which takes a tenth of the memory
        self._annotations: list[msgspec.Raw] = []
        self._bytes = 0
        self.planned = [self._path]

    def save(self, result: Result) -> Path:
        image_id = _stem(self._source, result.name)
        height, width = result.panoptic.shape
        png = _png("panoptic", self._folder, self._source, result.name).relative_to(self._folder)
        self._images.append(self._encoded(coco_format.image(image_id, Path(result.name).name, (height, width))))
        self._annotations.append(self._encoded(coco_format.annotation(image_id, png.as_posix(), result.segments)))
        self._labels = result.labels
        return self._path

    def to_finish(self) -> int:
        return self._bytes + _CATEGORIES if self._images else 0

    def close(self) -> None:
        if self._images:
            document = coco_format.document(self._annotations, self._images, self._labels)
            with files.writing(self._path) as temporary:
                temporary.write_bytes(msgspec.json.encode(document))

    def _encoded(self, record: JsonObject) -> msgspec.Raw:
        encoded = msgspec.json.encode(record)
        self._bytes += len(encoded) + 1
        return msgspec.Raw(encoded)


def _keeper(kind: str, folder: Path, source: Source) -> _Keeper:
    if kind == "json":
        return _Description(folder, source)
    if kind == "panoptic":
        return _Images(kind, folder, source, lambda result: coco_format.encode(result.panoptic))
    if isinstance(source, Footage):
        return _DrawnVideo(folder, source)
    return _Images(kind, folder, source, Result.draw)


def _stem(source: Source, name: str) -> str:
    return name if isinstance(source, Footage) else source.stems[name]


def _png(what: str, folder: Path, source: Source, name: str) -> Path:
    """Return a picture's file; that of a video's frame in a folder of the video, which is the path for no ``name``."""
    if isinstance(source, Footage):
        frames = folder / f"{source.stem}_{what}"
        return frames / f"{name}.png" if name else frames
    return folder / f"{source.stems[name]}_{what}.png"


def _bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
