"""Load the library of our TensorRT plugin, which is code: only the one that is vouched for, and once a process."""

from __future__ import annotations

import threading
from pathlib import Path

from pem_edge.runtime.artifacts.manifest import FileHash
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.backends.tensorrt.interface import TensorRt
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import sha256

_loaded: dict[str, str] = {}
"""Hash of the library loaded, by the name of TensorRT's module."""
_lock = threading.Lock()


def load(trt: TensorRt, folder: Path, plugin: FileHash, cure: str) -> None:
    """Register the plugins of the library ``plugin`` in ``folder``, unless this process has done so before.

    ``trt`` is TensorRT's module. Raises BackendError, its message ending in ``cure``, if the file is missing, is
    another than ``plugin`` says, or TensorRT does not take it.
    """
    path = _inside(folder, plugin.file, cure)
    if not path.is_file():
        raise BackendError(f"the plugin {path} is missing: put it back beside the engine, or {cure}")
    if (found := sha256(path)) != plugin.sha256:
        raise BackendError(
            f"the plugin {path} has SHA-256 {found[:12]}…, the engine needs {plugin.sha256[:12]}…, which is another "
            f"build: put that back beside the engine, or {cure}"
        )
    with _lock:
        _register(trt, path, plugin.sha256)


def _inside(folder: Path, file: str, cure: str) -> Path:
    if file in ("", ".", "..") or "/" in file or "\\" in file:
        raise BackendError(f"the plugin is called {file!r}, expected the name of a file beside the engine: {cure}")
    return (folder / file).resolve()  # a bare name would be looked for in the system's folders


def _register(trt: TensorRt, path: Path, digest: str) -> None:
    before = _loaded.get(trt.__name__)
    if before == digest:
        return
    if before is not None:
        raise BackendError(
            f"the plugin {path} cannot be loaded, as this process has loaded another build of it: start another process"
        )
    log.reason(trt)
    if trt.get_plugin_registry().load_library(str(path)) is None:
        raise BackendError(
            f"TensorRT cannot load the plugin {path} ({log.reason(trt)}): build it again on this machine, "
            "with pem-export --build-plugin"
        )
    _loaded[trt.__name__] = digest
