"""Operations on files and folders that raise OutputError."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
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


def refuse_existing(path: Path) -> None:
    """Raise OutputError if ``path`` exists, or is no name for a file."""
    try:
        exists = path.exists()
    except OSError as error:
        raise unwritable(path, error) from error
    if exists:
        raise OutputError(f"{path} exists already: add --overwrite, or choose another name with -o")


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents if missing. Raises OutputError if no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise unwritable(folder, error) from error


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
        raise unwritable(folder, error) from error
    if free < needed:
        raise OutputError(
            f"the disk of {folder} has {free / 1e6:.1f} MB left, too little to go on: free some, "
            "or choose another place with -o"
        )


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the error for a file or folder that cannot be written."""
    return OutputError(f"cannot write {path}: {error.strerror or error}; choose another place with -o")
