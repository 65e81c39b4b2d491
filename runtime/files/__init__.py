"""Writing files so that no kill leaves half of one, and other operations on files that raise OutputError."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.files import locks


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """Return the hash of a file, by an algorithm of `hashlib`, as a hexadecimal string."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def cache_folder() -> Path:
    """Return the folder for this package's caches, which need not exist.

    It is in the user's cache folder, as the XDG Base Directory Specification defines it. For a user without a home,
    as in many containers, it is where nothing can be written; caches are left out then.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the specification ignores relative paths
        return base / "pem-edge"
    try:
        return Path.home() / ".cache" / "pem-edge"
    except RuntimeError:
        return Path(os.devnull) / "pem-edge"


def exists(path: Path, *, option: str | None = "-o") -> bool:
    """Return whether ``path`` exists. Raises OutputError if that is unknown; ``option`` as in `make_folder`."""
    try:
        return path.exists()
    except OSError as error:
        raise _unwritable(path, error, option) from error


def refuse_existing(path: Path, *, option: str | None = "-o") -> None:
    """Raise OutputError if ``path`` exists. ``option`` is that of `write_atomically`."""
    if exists(path, option=option):
        cure = (
            f"add --overwrite, or choose another name with {option}"
            if option
            else "give overwrite=True, or another folder"
        )
        raise OutputError(f"{path} exists already: {cure}")


def make_folder(folder: Path, *, option: str | None = "-o") -> None:
    """Create ``folder`` and its parents if missing, and remove what killed processes left in it.

    Args:
        folder: The folder.
        option: The option of the command that names it, for the message; None if it was named in Python.

    Raises:
        OutputError: If no file can be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except FileExistsError as error:
        raise OutputError(f"cannot write {folder}: {error.filename} is not a folder; {_elsewhere(option)}") from error
    except (OSError, ValueError) as error:  # the latter for names that no folder can have
        raise _unwritable(folder, error, option) from error
    _tidy_once(folder)


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
def claim(path: Path) -> Iterator[None]:
    """Keep other processes that claim ``path``, too, from writing it during the ``with`` block.

    Raises:
        OutputError: If another process has claimed it, or the folder cannot be written.
    """
    make_folder(path.parent)
    locks.remove_leftovers(path.parent)
    lock = locks.path_for(path)
    try:
        held = locks.acquire(lock)
    except BlockingIOError as error:
        raise OutputError(
            f"another process is writing {path}: wait until it has ended, or choose another place with -o"
        ) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink(missing_ok=True)
        locks.release(held)


@contextmanager
def write_atomically(path: Path, *, durable: bool = False, option: str | None = "-o") -> Iterator[Path]:
    """Yield a temporary file to write, which replaces ``path`` at the end of the ``with`` block.

    If the block raises, the temporary file is removed and ``path`` stays as it was. If the process is killed, whatever
    writes in the same folder next removes it. Missing folders are created.

    Args:
        path: The file.
        durable: Whether the file must outlast a loss of power as soon as the block has ended, which takes time.
        option: The option of the command that names the place, for the message; None if it was named in Python.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    make_folder(path.parent, option=option)
    try:
        temporary, lock = locks.create(path.parent, path.suffix)
    except OSError as error:
        raise _unwritable(path, error, option) from error
    try:
        yield temporary
        replace(temporary, path, durable=durable)
    except OSError as error:
        raise _unwritable(path, error, option) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        locks.release(lock)


def replace(source: Path, target: Path, *, durable: bool) -> None:
    """Rename ``source`` to ``target`` in the same folder; if ``durable``, with the guarantee of `write_atomically`.

    Raises:
        OSError: If that fails.
    """
    if durable:
        _flush(source)
    source.replace(target)
    if durable:
        with suppress(OSError):  # not every file system can flush a folder
            _flush(target.parent)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder among the system's temporary files, which is removed at the end of the ``with`` block.

    If the process is killed, the next one that needs such a folder removes it.

    Raises:
        OutputError: If it cannot be created.
    """
    try:
        _tidy_once(Path(tempfile.gettempdir()))
        folder, lock = locks.create_folder()
    except OSError as error:
        raise OutputError(
            f"cannot create a temporary folder ({error.strerror or error}): free some space, or set TMPDIR to a folder "
            "that can be written"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        locks.release(lock)


@cache
def _tidy_once(folder: Path) -> None:
    """Remove what killed processes left in ``folder``; once per process, as it may hold many files."""
    locks.remove_leftovers(folder)


def _flush(path: Path) -> None:
    """Wait until the file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError | ValueError, option: str | None = "-o") -> OutputError:
    return OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}; {_elsewhere(option)}")


def _elsewhere(option: str | None) -> str:
    return "choose another place" if option is None else f"choose another place with {option}"
