"""Finds the built plugin library, whose file name tells the TensorRT version and the sources it was built from."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import cache_folder

SOURCES = Path(__file__).parent / "deform_conv"
"""The folder of the plugin's sources."""

OVERRIDE = "PEM_EDGE_PLUGIN"
"""The environment variable that names a library to use instead of the cached one."""


def find(tensorrt_version: str) -> Path | None:
    """Return the path of the built plugin library, or None if there is none.

    The environment variable PEM_EDGE_PLUGIN takes precedence over the cache, in which only a build from these sources
    and for the same minor version counts.

    Args:
        tensorrt_version: The version of TensorRT, such as "10.3.0".

    Raises:
        BackendError: If PEM_EDGE_PLUGIN does not name a file.
    """
    chosen = os.environ.get(OVERRIDE)
    if chosen:
        return _require_file(Path(chosen))
    path = cached_path(tensorrt_version)
    return path if path.is_file() else None


def cached_path(tensorrt_version: str) -> Path:
    """Return the path, in the user's cache folder, of the plugin library for a TensorRT version such as "10.3.0"."""
    major, minor = tensorrt_version.split(".")[:2]
    return cache_folder() / "plugins" / f"deform_conv-tensorrt{major}.{minor}-{source_hash()}.so"


def source_hash() -> str:
    """Return 12 hexadecimal digits of the SHA-256 of the names and contents of all sources.

    CMakeLists.txt computes the same, and the plugin tells it to TensorRT's timing cache.
    """
    files = [path for pattern in ("*", "kernels/*") for path in SOURCES.glob(pattern) if path.is_file()]
    hashes = {path.relative_to(SOURCES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    text = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise BackendError(f"{OVERRIDE} names {path}, which is not a file: correct or unset the variable")
    return path.resolve()
