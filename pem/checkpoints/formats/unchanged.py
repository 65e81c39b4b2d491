"""Notices that somebody writes a file while it is read, such as a training that saves its last state again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pem_edge.runtime.errors import CheckpointError


@contextmanager
def unchanged(paths: Sequence[Path]) -> Iterator[None]:
    """Raise CheckpointError if a file changes during the ``with`` block, whatever the block makes of its bytes."""
    before = [_stamp(path) for path in paths]
    try:
        yield
    except CheckpointError:
        _require(paths, before)
        raise
    _require(paths, before)


def _require(paths: Sequence[Path], before: list[tuple[int, ...]]) -> None:
    for path, stamp in zip(paths, before, strict=True):
        if _stamp(path) != stamp:
            raise CheckpointError(f"{path} changed while it was read: wait until it is written, and try again")


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes with the content of a file, nothing of a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
