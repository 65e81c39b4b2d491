"""Writing a file under a temporary name first."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pem_edge.runtime.files.folders import make_folder, unwritable
from pem_edge.runtime.files.locks import is_at, try_lock

_LONGEST_NAME = 64
"""Characters of a file's name that its temporary name repeats; file systems limit names to 255 bytes."""


@contextmanager
def write_atomically(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary file to write, which replaces ``path`` at the end of the ``with`` block.

    If the block raises, the temporary file is removed and ``path`` stays as it was. Missing folders are created, and
    temporary files that killed processes left for ``path`` are removed.

    Args:
        path: The file.
        durable: Whether the content must be on the disk before it gets its name, so that it survives a power failure.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    with temporary_for(path) as temporary:
        try:
            yield temporary
            finish(temporary, durable=durable)
            temporary.replace(path)
            if durable:
                sync(path.parent)
        except OSError as error:
            raise unwritable(path, error) from error


@contextmanager
def temporary_for(path: Path) -> Iterator[Path]:
    """Yield a new file beside ``path`` that other processes know is in use; it is removed after the ``with`` block.

    Raises:
        OutputError: If the folder cannot be written.
    """
    make_folder(path.parent)
    try:
        _remove_abandoned(path)
        descriptor, temporary = _create(path)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


def finish(temporary: Path, *, durable: bool) -> None:
    """Give a written temporary file the permissions of a new one and, if ``durable``, wait until it is on the disk."""
    temporary.chmod(0o666 & ~_umask())
    if durable:
        sync(temporary)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, where the file system can say."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path) -> tuple[int, Path]:
    """Return a new, locked file beside ``path``: its descriptor and its path."""
    while True:
        prefix = f".{path.name[:_LONGEST_NAME]}."
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=f".tmp{path.suffix}", dir=path.parent)
        if try_lock(descriptor) and is_at(descriptor, Path(name)):
            return descriptor, Path(name)
        os.close(descriptor)  # another process took it for abandoned before it was locked


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files for ``path`` that no process has locked: those of killed processes."""
    pattern = re.compile(rf"\.{re.escape(path.name[:_LONGEST_NAME])}\.[a-z0-9_]{{8}}\.tmp{re.escape(path.suffix)}")
    with os.scandir(path.parent) as entries:
        left = [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]
    for temporary in left:
        with suppress(OSError):
            descriptor = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
            try:
                if try_lock(descriptor):
                    temporary.unlink()
            finally:
                os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
