"""Loads the library of this project's TensorRT plugin.

The library is code, so its hash must be the expected one. A process can load only one build of it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.artifacts.trust import VARIABLE, require_trusted
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.backends.tensorrt.interface import TensorRt
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.outside.reading import reading

_loaded: dict[str, str] = {}
"""SHA-256 of the library that was loaded, by the name of TensorRT's module."""
_lock = threading.Lock()
_log = logging.getLogger(__name__)


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
    with reading(path, BackendError, expected="our plugin", cure=cure):
        code = path.read_bytes()
    if (found := hashlib.sha256(code).hexdigest()) != plugin.sha256:
        raise BackendError(
            f"the plugin {path} has SHA-256 {found[:12]}…, the engine needs {plugin.sha256[:12]}…, which is another "
            f"build: put that back beside the engine, or {cure}"
        )
    require_trusted(path, found, BackendError)
    with _lock:
        _register(trt, path, code, found)


def _resolve(folder: Path, file: str, cure: str) -> Path:
    if file in ("", ".", "..") or "/" in file or "\\" in file:
        raise BackendError(f"the plugin is called {file!r}, expected the name of a file beside the engine: {cure}")
    return (folder / file).resolve()  # TensorRT would search the system's folders for a bare name


def _register(trt: TensorRt, path: Path, code: bytes, digest: str) -> None:
    before = _loaded.get(trt.__name__)
    if before == digest:
        return
    if before is not None:
        raise BackendError(
            f"the plugin {path} cannot be loaded, as this process has loaded another build of it: start another process"
        )
    if not os.environ.get(VARIABLE):
        _log.warning(
            "%s is code and runs with your rights; its hash comes from the same folder: load engines only from people "
            "you trust, or list the files you trust in %s",
            path,
            VARIABLE,
        )
    log.pop_error(trt)  # clears errors of earlier calls
    with _private_copy(code) as copy:
        library = trt.get_plugin_registry().load_library(str(copy))
    if library is None:
        raise BackendError(
            f"TensorRT cannot load the plugin {path} ({log.pop_error(trt)}): build it again on this machine, "
            "with pem-export --build-plugin"
        )
    _loaded[trt.__name__] = digest


@contextmanager
def _private_copy(code: bytes) -> Iterator[Path]:
    """Yield a file that nobody else can replace while it is loaded; the file that was checked may be replaced."""
    descriptor = os.memfd_create("pem-edge-plugin")
    try:
        with open(descriptor, "wb", closefd=False) as file:  # pathlib opens no descriptors
            file.write(code)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
