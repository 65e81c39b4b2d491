"""Saving results to a folder: drawings, maps, and JSON files in COCO's formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from types import TracebackType

from pem_edge.runtime import files
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.saving.documents import InstancesDocument, PanopticDocument
from pem_edge.runtime.results.saving.pictures import ImageSaver, OverlaysSaver, VideoSaver
from pem_edge.runtime.results.saving.saver import Saver
from pem_edge.runtime.sources import Footage, Several, Source

KINDS = ("overlay", "panoptic", "json", "semantic", "instances")
"""Kinds of output that can be saved."""

DEFAULT_KINDS: Mapping[Task, tuple[str, ...]] = {
    "panoptic": ("overlay", "panoptic"),
    "semantic": ("overlay", "semantic"),
    "instance": ("overlay", "instances"),
}
"""Kinds that fit a task."""


class Written:
    """Counts the files that were written.

    Attributes:
        files: Their number.
        first: The first few of them.
    """

    _FEW = 3

    def __init__(self) -> None:
        self.files = 0
        self.first: list[Path] = []
        self._last: dict[str, Path] = {}

    def add(self, saved: Mapping[str, Path]) -> None:
        """Count the files of a result, by kind, unless they are those of the result before."""
        for kind, path in saved.items():
            if self._last.get(kind) != path:
                self._last[kind] = path
                self.files += 1
                self.first += [path] if len(self.first) < self._FEW else []


class Outputs:
    """The files in which results are saved.

    Use it in a ``with`` block, whose end finishes the files. If the block fails, the results so far are kept.

    Args:
        kinds: The kinds of output, each one of KINDS. With "panoptic" comes "json", as the maps say nothing without it.
        folder: The folder.
        source: The source of the images, which determines the names of the files.

    Attributes:
        written: The files so far.
    """

    def __init__(self, kinds: Iterable[str], folder: Path, source: Source) -> None:
        self._folder = folder
        kinds = dict.fromkeys(kinds)
        kinds |= {"json": None} if "panoptic" in kinds else {}
        self._savers = {kind: _make_saver(kind, folder, source) for kind in kinds}
        self.written = Written()

    def refuse_existing(self) -> None:
        """Raise OutputError if files would be overwritten."""
        existing = [path for saver in self._savers.values() for path in saver.paths if files.exists(path)]
        if existing:
            first = existing[0].relative_to(self._folder)
            more = f" and {len(existing) - 1} more of these files" if existing[1:] else ""
            raise OutputError(
                f"{self._folder} has {first}{more} already: add --overwrite, or choose another folder with -o"
            )

    def advice(self) -> str | None:
        """Return what to install so that all players play the videos that are written; None if there is nothing."""
        return next(filter(None, (saver.advice() for saver in self._savers.values())), None)

    def save(self, result: Result) -> dict[str, Path]:
        """Save a result and return its file for each kind.

        Raises:
            OutputError: If a file cannot be written, or the disk has too little space left to finish all files.
        """
        if needed := sum(saver.bytes_to_finish() for saver in self._savers.values()):
            files.require_space(self._folder, needed + result.image.nbytes)
        saved = {kind: saver.save(result) for kind, saver in self._savers.items()}
        self.written.add(saved)
        return saved

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        full = suppress(OutputError) if isinstance(error, OutputError) else nullcontext()  # report the first only
        with full, ExitStack() as finishing:  # finish all files, even if one fails
            for saver in self._savers.values():
                finishing.callback(saver.close)


def _make_saver(kind: str, folder: Path, source: Source) -> Saver:
    if kind == "json":
        return PanopticDocument(folder, source)
    if kind == "instances":
        return InstancesDocument(folder, source)
    if kind == "panoptic":
        return ImageSaver(kind, folder, source, lambda result: result.encode_map("panoptic"))
    if kind == "semantic":
        return ImageSaver(kind, folder, source, lambda result: result.encode_map("semantic"))
    if isinstance(source, Several):
        return OverlaysSaver(folder, source)
    if isinstance(source, Footage):
        return VideoSaver(folder, source)
    return ImageSaver(kind, folder, source, Result.draw)
