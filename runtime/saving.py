"""What a run leaves in its output folder: drawings, panoptic maps, and their description in COCO's format."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime import coco, files
from runtime.errors import OutputError
from runtime.result import Result
from runtime.sources import Footage, Source

KINDS = ("overlay", "panoptic", "json")


class Outputs:
    """Everything a run is to keep in ``folder``, of ``kinds`` (out of `KINDS`).

    A ``with`` block finishes the files at its end, also if it fails: what was done until then is kept.
    """

    def __init__(self, kinds: Iterable[str], folder: Path, source: Source) -> None:
        self._keepers = {kind: _keeper(kind, folder, source) for kind in kinds}

    def refuse_existing(self) -> None:
        """Raise OutputError if anything would be overwritten."""
        for keeper in self._keepers.values():
            for path in keeper.planned:
                files.refuse_existing(path)

    def save(self, result: Result) -> dict[str, Path]:
        """Keep ``result``; returns where, by kind. Raises OutputError."""
        return {kind: keeper.save(result) for kind, keeper in self._keepers.items()}

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as finishing:  # each, even if another one fails
            for keeper in self._keepers.values():
                finishing.callback(keeper.close)


class _Keeper(ABC):
    """Keeps one kind of output. ``planned`` is what it will write."""

    planned: Iterable[Path]

    @abstractmethod
    def save(self, result: Result) -> Path:
        """Keep ``result``; returns the file that has it, then or after `close`."""

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
    """The drawings of a video's frames as a video, less the last row or column where the size is odd."""

    def __init__(self, folder: Path, video: Footage) -> None:
        self._path = folder / f"{video.stem}_overlay.mp4"
        self._fps = video.fps
        self._file = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self.planned = [self._path]

    def save(self, result: Result) -> Path:
        if self._writer is None:
            self._writer = self._opened(*result.image.shape[:2])
        self._writer.write(_bgr(result.draw()))
        return self._path

    def _opened(self, height: int, width: int) -> cv2.VideoWriter:
        with ExitStack() as file:
            temporary = file.enter_context(files.writing(self._path))
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, (width, height))
            if not writer.isOpened():
                raise OutputError(f"OpenCV cannot encode {self._path} of {height}x{width}: leave overlay out of --save")
            file.callback(writer.release)
            self._file = file.pop_all()  # open until `close`
        return writer

    def close(self) -> None:
        self._file.close()


class _Description(_Keeper):
    """``panoptic.json``, which tells the segments of each panoptic map."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._path = folder / "panoptic.json"
        self._folder, self._source = folder, source
        self._images: list[coco.Record] = []
        self._annotations: list[coco.Record] = []
        self.planned = [self._path]

    def save(self, result: Result) -> Path:
        image_id = _stem(self._source, result.name)
        height, width = result.panoptic.shape
        png = _png("panoptic", self._folder, self._source, result.name).relative_to(self._folder)
        self._images.append(coco.image(image_id, Path(result.name).name, (height, width)))
        self._annotations.append(coco.annotation(image_id, png.as_posix(), result.segments))
        self._labels = result.labels
        return self._path

    def close(self) -> None:
        if self._images:
            document = coco.document(self._annotations, self._images, self._labels)
            with files.writing(self._path) as temporary:
                temporary.write_text(json.dumps(document))


def _keeper(kind: str, folder: Path, source: Source) -> _Keeper:
    if kind == "json":
        return _Description(folder, source)
    if kind == "panoptic":
        return _Images(kind, folder, source, lambda result: coco.encode(result.panoptic))
    if isinstance(source, Footage):
        return _DrawnVideo(folder, source)
    return _Images(kind, folder, source, Result.draw)


def _stem(source: Source, name: str) -> str:
    return name if isinstance(source, Footage) else source.stems[name]


def _png(what: str, folder: Path, source: Source, name: str) -> Path:
    """A picture's file; that of a video's frame in a folder of the video, which is the path for no ``name``."""
    if isinstance(source, Footage):
        frames = folder / f"{source.stem}_{what}"
        return frames / f"{name}.png" if name else frames
    return folder / f"{source.stems[name]}_{what}.png"


def _bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
