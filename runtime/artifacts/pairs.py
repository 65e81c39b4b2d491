"""Replacing a model file, its manifest and the files that go with them as one, whenever the process may be killed.

The new files are first written under waiting names. One rename, that of the model file, then decides: before it, the
manifest that counts is the old one; after it, the waiting one, as its hash is the model's. The others follow at once,
or with the next `settle` if the process is killed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from pem_edge.runtime import files
from pem_edge.runtime.artifacts.manifest import Manifest, manifest_path, read_manifest
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.errors import ManifestError, OutputError

Save = Callable[[Path], object]
"""Writes a file's content to the path that it is given."""


@contextmanager
def claim(model: Path) -> Iterator[None]:
    """Keep other processes from writing an artifact of the same name as ``model``, and settle what a killed one left.

    Raises:
        OutputError: If another process is writing one, or the folder cannot be written.
    """
    with files.claim(model.with_suffix("")):
        settle(model)
        yield


def write(model: Path, save: Save, manifest: Manifest, companions: Mapping[Path, Save] | None = None) -> Manifest:
    """Write a model file, its manifest and ``companions``, so that at any moment all are the old or all the new ones.

    Beside an engine, an ONNX file leaves ``NAME.json`` to it, and relies on the manifest in its own metadata.

    Args:
        model: The model file.
        save: Writes its content.
        manifest: The manifest, in which the model's hash is set.
        companions: Further files of the same name, with other suffixes, and what writes them.

    Returns:
        The manifest with the model's hash.

    Raises:
        OutputError: If a file cannot be written. After any error, the old files are left.
    """
    with files.claim(manifest_path(model)):
        settle(model)
        try:
            for path, save_companion in (companions or {}).items():
                with files.write_atomically(_waiting(path), durable=True) as file:
                    save_companion(file)
            with files.write_atomically(model, durable=True) as file:
                save(file)
                manifest = msgspec.structs.replace(manifest, model=FileHash(model.name, files.sha256(file)))
                if manifest.engine is not None or not describes_engine(manifest_path(model)):
                    _write_waiting(manifest, model)
        except BaseException:
            with suppress(OutputError):  # the first error tells more
                settle(model)
            raise
        settle(model)
    return manifest


def settle(model: Path) -> None:
    """Finish the replacement of ``model``, or of another file of that name, if it was decided, or else undo it.

    Raises:
        OutputError: If a file cannot be renamed or removed.
    """
    finals = [path for suffix in _SUFFIXES if _waiting(path := model.with_suffix(suffix)).exists()]
    if not finals:
        return
    decided = _is_decided(model)
    try:
        for path in finals:
            if decided:
                files.replace(_waiting(path), path, durable=True)
            else:
                _waiting(path).unlink()
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror or error}") from error


def manifest_beside(model: Path) -> Path:
    """Return the path of the manifest beside ``model``, or of the waiting one if that describes it."""
    waiting = _waiting(manifest_path(model))
    return waiting if _vouches(_read(waiting), model) else manifest_path(model)


_SUFFIXES = (".onnx", ".layers.json", ".json")
"""Suffixes of what follows a model file, the manifest last: until that is renamed, it tells that it was decided."""


def _waiting(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _write_waiting(manifest: Manifest, model: Path) -> None:
    with files.write_atomically(_waiting(manifest_path(model)), durable=True) as file:
        file.write_bytes(manifest.to_json())


def _is_decided(model: Path) -> bool:
    """Return whether the model file that the waiting manifest describes is in place."""
    manifest = _read(_waiting(manifest_path(model)))
    engine = manifest is not None and manifest.engine is not None
    return _vouches(manifest, model.with_suffix(".engine" if engine else ".onnx"))


def _vouches(manifest: Manifest | None, model: Path) -> bool:
    """Return whether the hash in ``manifest`` is that of the file ``model``."""
    if manifest is None or manifest.model is None or not model.exists():
        return False
    return manifest.model.sha256 == files.sha256(model)


def describes_engine(manifest: Path) -> bool:
    """Return whether ``manifest`` describes an engine that exists."""
    found = _read(manifest)
    return found is not None and found.engine is not None and manifest.with_suffix(".engine").exists()


def _read(manifest: Path) -> Manifest | None:
    """Return the manifest in a file, or None if there is none that can be read."""
    try:
        return read_manifest(manifest)
    except ManifestError:
        return None
