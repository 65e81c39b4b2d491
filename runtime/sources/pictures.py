"""Picture files, one or a folder of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.frame import Frame


class Pictures:
    """Picture files, decoded when their frame is read. ``length`` is their number.

    ``stems`` has, by a frame's name, what the names of its outputs start with: its path's stem, or its whole name
    where stems are not unique.
    """

    live = False
    timeout = None  # files are waited for

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.name = str(paths[0]) if len(paths) == 1 else f"{len(paths)} pictures"
        self.length = len(paths)
        self.stems = dict(zip(map(str, paths), _unique_stems(paths), strict=True))

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            yield Frame(str(path), partial(images.read, path))


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, sorted by name. Raises InputError if there is none."""
    try:
        files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    pictures = [entry for entry in files if entry.suffix.lower() in images.SUFFIXES and entry.is_file()]
    if not pictures:
        raise InputError(
            f"{folder} has no pictures in it: expected files ending in {' '.join(sorted(images.SUFFIXES))}"
        )
    return pictures


def _unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return the stem of each path; its whole name where a stem is not unique, case ignored."""
    counts = Counter(path.stem.casefold() for path in paths)
    stems = [path.stem if counts[path.stem.casefold()] == 1 else path.name for path in paths]
    clash = len({stem.casefold() for stem in stems}) < len(stems)
    return [path.name for path in paths] if clash else stems
