"""Where a built plugin lies. Its name says which TensorRT it was built for and from which sources."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import cache_folder

SOURCES = Path(__file__).parent / "deform_conv"
OVERRIDE = "PEM_EDGE_PLUGIN"
"""Environment variable: a library to use instead of the cached one."""


def find(tensorrt_version: str) -> Path | None:
    """Return the plugin that was built from these sources for a TensorRT version such as "10.3.0", or None.

    Builds for another minor version or from other sources do not count. The variable PEM_EDGE_PLUGIN overrides.

    Raises:
        BackendError: If that variable does not name a file.
    """
    chosen = os.environ.get(OVERRIDE)
    if chosen:
        return _existing(Path(chosen))
    path = cached_path(tensorrt_version)
    return path if path.is_file() else None


def cached_path(tensorrt_version: str) -> Path:
    """Return where the plugin for a TensorRT version is kept: the user's cache folder, XDG_CACHE_HOME honored."""
    major, minor = tensorrt_version.split(".")[:2]
    return cache_folder() / "plugins" / f"deform_conv-tensorrt{major}.{minor}-{source_hash()}.so"


def source_hash() -> str:
    """Return 12 hexadecimal digits of the SHA-256 of the names and contents of all sources."""
    digest = hashlib.sha256()
    for path in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(SOURCES).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BackendError(f"{OVERRIDE} names {path}, which is not a file: correct or unset the variable")
    return path.resolve()
