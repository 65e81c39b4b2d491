"""Image files as a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.frame import Frame


class Pictures:
    """Image files, each decoded when its frame is read.

    Attributes:
        paths: The files.
        name: The file or the number of files, for messages.
        length: The number of files.
        stems: The beginning of the names of each frame's outputs, by the frame's name: the stem of its path, or the
            whole file name where stems are not unique.
    """

    live = False
    timeout = None  # a slow disk is no reason to give up

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.name = str(paths[0]) if len(paths) == 1 else f"{len(paths)} images"
        self.length = len(paths)
        self.stems = dict(zip(map(str, paths), _unique_stems(paths), strict=True))

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            yield Frame(str(path), partial(images.read, path))


def pictures_in(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name. Raises InputError if there are none."""
    try:
        files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    paths = [entry for entry in files if entry.suffix.lower() in images.SUFFIXES and entry.is_file()]
    if not paths:
        raise InputError(f"{folder} has no images in it: expected files ending in {' '.join(sorted(images.SUFFIXES))}")
    return paths


def _unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return the stem of each path, or its whole name where stems are not unique, ignoring case."""
    counts = Counter(path.stem.casefold() for path in paths)
    stems = [path.stem if counts[path.stem.casefold()] == 1 else path.name for path in paths]
    ambiguous = len({stem.casefold() for stem in stems}) < len(stems)
    return [path.name for path in paths] if ambiguous else stems
