"""Locks that end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pem_edge.runtime.errors import OutputError


def try_lock(descriptor: int) -> bool:
    """Lock an open file; return False if another process has locked it.

    On file systems without locks, every file counts as locked by this process.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether ``path`` is the open file, and not another one or none."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


@contextmanager
def exclusively(path: Path, work: str) -> Iterator[None]:
    """Keep other processes that ask for the same from writing ``path`` during the ``with`` block.

    Args:
        path: What is written; a hidden file beside it, which the end of the block removes, is locked.
        work: What the other process is doing, for the message, such as "an export".

    Raises:
        OutputError: If another process has asked first.
    """
    lock = path.with_name(f".{path.name[:64]}.lock")
    descriptor = _open(lock)
    try:
        if descriptor is not None and not try_lock(descriptor):
            raise OutputError(
                f"{path} is being written by {work} in another process: wait for it, or choose another -o"
            )
        yield
    finally:
        if descriptor is not None:
            if is_at(descriptor, lock) and try_lock(descriptor):
                lock.unlink(missing_ok=True)
            os.close(descriptor)


def _open(lock: Path) -> int | None:
    """Return an open file at ``lock``; None where none can be made, which writing will complain about."""
    with suppress(OSError):
        while True:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not try_lock(descriptor) or is_at(descriptor, lock):  # else the process before removed it just now
                return descriptor
            os.close(descriptor)
    return None
