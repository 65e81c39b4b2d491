"""Notices that somebody writes a file while it is read, such as a training that saves its last state again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pem_edge.runtime.errors import CheckpointError

Stamp = tuple[int, ...]
"""The inode, size and time of modification of a file, which change with its content."""


@contextmanager
def unchanged(paths: Sequence[Path]) -> Iterator[tuple[Stamp, ...]]:
    """Yield the files' stamps; raise CheckpointError if one changes meanwhile, whatever is made of its bytes."""
    before = tuple(_stamp(path) for path in paths)
    try:
        yield before
    except CheckpointError:
        require_unchanged(paths, before)
        raise
    require_unchanged(paths, before)


def require_unchanged(paths: Sequence[Path], before: Sequence[Stamp]) -> None:
    """Raise CheckpointError if the stamp of a file is not the one that it had."""
    for path, stamp in zip(paths, before, strict=True):
        if _stamp(path) != stamp:
            raise CheckpointError(f"{path} changed while it was read: wait until it is written, and try again")


def _stamp(path: Path) -> Stamp:
    """Return the stamp of a file, an empty one if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
