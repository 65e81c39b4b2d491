"""What saves one kind of output, and the names of files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Footage, Pictures, Several, Source


class Saver(ABC):
    """Saves one kind of output. ``paths`` are the files and folders that it will write."""

    paths: Iterable[Path]

    @abstractmethod
    def save(self, result: Result) -> Path:
        """Save a result and return its file, which may be incomplete until `close`."""

    def advice(self) -> str | None:
        """Return what to install so that the files are of more use; None if there is nothing."""
        return None

    def bytes_to_finish(self) -> int:
        """Return the maximum number of bytes that `close` may still write."""
        return 0

    def close(self) -> None:
        """Finish the file, if there is one for all results."""
        return


def stem(source: Source, name: str) -> str:
    """Return the id in documents of the frame ``name``; of a picture, also the beginning of its outputs' names."""
    if isinstance(source, Several):
        part, inner = source.locate(name)
        return stem(part, inner) if isinstance(part, Pictures) else f"{part.stem}/{inner}"
    return name if isinstance(source, Footage) else source.stems[name]


def common_folder(source: Source) -> str | None:
    """Return the folder that all pictures of a source are in, at whatever depth; None if there is none."""
    parts = source.parts if isinstance(source, Several) else [source]
    names = (name for part in parts if isinstance(part, Pictures) for name in part.stems)
    try:
        return os.path.commonpath({os.path.dirname(name) for name in names if "://" not in name})  # noqa: PTH120
    except ValueError:  # none, or absolute and relative ones
        return None


def png_path(kind: str, folder: Path, source: Source, name: str) -> Path:
    """Return the PNG of an image.

    The frames of a video have their own folder, which is what an empty ``name`` returns.
    """
    if isinstance(source, Several):
        part, inner = source.locate(name)
        return png_path(kind, folder, part, inner)
    if isinstance(source, Footage):
        frames = folder / f"{source.stem}_{kind}"
        return frames / f"{name}.png" if name else frames
    return folder / f"{source.stems[name]}_{kind}.png"


def png_paths(kind: str, folder: Path, source: Source) -> list[Path]:
    """Return the PNGs of all images of a source, and the folders for those of videos."""
    if isinstance(source, Several):
        return [path for part in source.parts for path in png_paths(kind, folder, part)]
    names = [""] if isinstance(source, Footage) else source.stems
    return [png_path(kind, folder, source, name) for name in names]
