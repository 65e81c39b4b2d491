"""Loads the library of this project's TensorRT plugin.

The library is code, so its hash must be the expected one. A process can load only one build of it.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.backends.tensorrt.interface import TensorRt
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import sha256

_loaded: dict[str, str] = {}
"""SHA-256 of the library that was loaded, by the name of TensorRT's module."""
_lock = threading.Lock()


def load(trt: TensorRt, folder: Path, plugin: FileHash, cure: str) -> None:
    """Register the plugins of a library, unless this process has done so before.

    Args:
        trt: TensorRT's module.
        folder: The folder of the library.
        plugin: The name of the library's file and its expected SHA-256.
        cure: What to do if the library is missing or another one, for the error message.

    Raises:
        BackendError: If the file is missing or has another hash, if this process has loaded another build, or if
            TensorRT cannot load the library.
    """
    path = _resolve(folder, plugin.file, cure)
    if not path.is_file():
        raise BackendError(f"the plugin {path} is missing: put it back beside the engine, or {cure}")
    if (found := sha256(path)) != plugin.sha256:
        raise BackendError(
            f"the plugin {path} has SHA-256 {found[:12]}…, the engine needs {plugin.sha256[:12]}…, which is another "
            f"build: put that back beside the engine, or {cure}"
        )
    with _lock:
        _register(trt, path, plugin.sha256)


def _resolve(folder: Path, file: str, cure: str) -> Path:
    if file in ("", ".", "..") or "/" in file or "\\" in file:
        raise BackendError(f"the plugin is called {file!r}, expected the name of a file beside the engine: {cure}")
    return (folder / file).resolve()  # TensorRT would search the system's folders for a bare name


def _register(trt: TensorRt, path: Path, digest: str) -> None:
    before = _loaded.get(trt.__name__)
    if before == digest:
        return
    if before is not None:
        raise BackendError(
            f"the plugin {path} cannot be loaded, as this process has loaded another build of it: start another process"
        )
    log.pop_error(trt)  # clears errors of earlier calls
    if trt.get_plugin_registry().load_library(str(path)) is None:
        raise BackendError(
            f"TensorRT cannot load the plugin {path} ({log.pop_error(trt)}): build it again on this machine, "
            "with pem-export --build-plugin"
        )
    _loaded[trt.__name__] = digest
