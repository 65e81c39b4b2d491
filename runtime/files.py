"""Writing files so that nothing half-written is ever left under its final name."""

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
    """Return hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the user's folder for what can be made again (XDG's cache folder), which need not exist."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "pem-edge"  # relative ones are to be ignored


def refuse_existing(path: Path) -> None:
    """Raise OutputError if ``path`` exists."""
    if path.exists():
        raise OutputError(f"{path} exists already: add --overwrite, or choose another name with -o")


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents, and check that it takes files. Raises OutputError where that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, error) from error


def remove(paths: Iterable[Path]) -> None:
    """Delete files, missing ones aside. Raises OutputError where that is impossible."""
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {error.filename}: {error.strerror or error}") from error


def require_space(folder: Path, needed: int) -> None:
    """Raise OutputError if fewer than ``needed`` bytes are free where ``folder`` is."""
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
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, else remove it.

    Raises OutputError if the folder cannot be written or the disk is full.
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
