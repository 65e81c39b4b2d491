"""Locks that end with their process, and what killed processes leave behind: temporary files and locks.

A lock is ``flock``'s on a file whose name begins with `PREFIX`. It ends with its process, however that ends, so that
what is left under such a name and is not locked can be removed by anyone. File systems without locks take no part:
every lock is then granted, and nothing is removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX = ".pem-edge-"
"""Beginning of the names of temporary files and locks."""

_NAME = re.compile(re.escape(PREFIX) + r"[0-9a-f]{16}(\..*)?", re.DOTALL)
"""Matches such a name as a whole: a user's file may begin like one."""

_TRIES, _PAUSE = 5, 0.02
"""For a lock that is free, but that another process holds for a moment to see whether it was left behind; seconds."""

_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EACCES)
_open: set[int] = set()
"""Descriptors of the locks of this process."""


def create(folder: Path, suffix: str) -> tuple[Path, int]:
    """Create a locked temporary file whose name ends in ``suffix``; returns its path and lock. Raises OSError."""
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(8)}{suffix}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _keep(descriptor, path):
            return path, descriptor


def create_folder() -> tuple[Path, int]:
    """Create a locked folder among the system's temporary files; returns its path and lock. Raises OSError."""
    while True:
        path = Path(tempfile.gettempdir(), f"{PREFIX}{secrets.token_hex(8)}")
        path.mkdir(0o700)
        with suppress(FileNotFoundError):  # another process took it for a leftover before it was locked
            if _keep(descriptor := os.open(path, os.O_RDONLY), path):
                return path, descriptor


def path_for(claimed: Path) -> Path:
    """Return the path of the lock that claims ``claimed``."""
    return claimed.with_name(f"{PREFIX}{hashlib.sha256(os.fsencode(claimed.name)).hexdigest()[:16]}.lock")


def acquire(path: Path) -> int:
    """Create the file ``path``, unless it exists, and return the lock of it.

    Raises:
        BlockingIOError: If another process has the lock.
        OSError: If the file cannot be created.
    """
    for _ in range(_TRIES):
        descriptor = _open_lock(path)
        if _keep(descriptor, path):
            return descriptor
        time.sleep(_PAUSE)
    raise BlockingIOError(errno.EWOULDBLOCK, "another process has the lock", str(path))


def release(descriptor: int) -> None:
    """Release a lock, whose file should be gone by now."""
    if descriptor in _open:
        _open.remove(descriptor)
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in ``folder``: files, and folders among the system's temporary files."""
    with suppress(OSError):
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name):
                _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        kind = path.lstat()
        is_folder = stat.S_ISDIR(kind.st_mode) and path.parent == Path(tempfile.gettempdir())
        if kind.st_uid != os.geteuid() or not (is_folder or stat.S_ISREG(kind.st_mode)):
            return
        descriptor = os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | os.O_NOFOLLOW)
        try:
            if _lock(descriptor, unknown=False) and _is_at(descriptor, path):
                shutil.rmtree(path, ignore_errors=True) if is_folder else path.unlink()
        finally:
            os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open for writing, which NFS needs, or only for reading what another user left."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def _keep(descriptor: int, path: Path) -> bool:
    """Lock ``descriptor`` for as long as it is open; close it if another process has the lock or removed the file."""
    if _lock(descriptor) and _is_at(descriptor, path):
        _open.add(descriptor)
        return True
    os.close(descriptor)
    return False


def _lock(descriptor: int, *, unknown: bool = True) -> bool:
    """Return whether the lock was free, which is now held; ``unknown`` where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD_BY_ANOTHER and unknown
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether the open file is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _leave_to_parent() -> None:
    """Close the locks in a forked process, such as a worker, which may live on after the process that has them."""
    while _open:
        os.close(_open.pop())


os.register_at_fork(after_in_child=_leave_to_parent)
