"""Writing files atomically, and other operations on files that raise OutputError."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pem_edge.runtime.errors import OutputError


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the folder for this package's caches, which need not exist.

    It is in the user's cache folder, as the XDG Base Directory Specification defines it.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (
        base if base.is_absolute() else Path.home() / ".cache"
    ) / "pem-edge"  # the specification ignores relative paths


def refuse_existing(path: Path) -> None:
    """Raise OutputError if ``path`` exists, or is no name for a file."""
    try:
        exists = path.exists()
    except OSError as error:
        raise _unwritable(path, error) from error
    if exists:
        raise OutputError(f"{path} exists already: add --overwrite, or choose another name with -o")


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents if missing. Raises OutputError if no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, error) from error


def remove(paths: Iterable[Path]) -> None:
    """Delete those of ``paths`` that exist. Raises OutputError if one cannot be deleted."""
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {error.filename}: {error.strerror or error}") from error


def require_space(folder: Path, needed: int) -> None:
    """Raise OutputError if the disk of ``folder`` has fewer than ``needed`` free bytes."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unwritable(folder, error) from error
    if free < needed:
        raise OutputError(
            f"the disk of {folder} has {free / 1e6:.1f} MB left, too little to go on: free some, "
            "or choose another place with -o"
        )


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write, which replaces ``path`` at the end of the ``with`` block.

    If the block raises, the temporary file is removed and ``path`` stays as it was. Missing folders are created.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    make_folder(path.parent)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}; choose another place with -o")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
