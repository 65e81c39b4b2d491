"""Opening an artifact: finding the manifest of a model file and checking that they belong together."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.artifacts import onnx_file, pairs
from pem_edge.runtime.artifacts.manifest import (
    METADATA_KEY,
    Manifest,
    manifest_path,
    parse_manifest,
    read_manifest,
    verify_manifest,
)
from pem_edge.runtime.artifacts.trust import require_trusted
from pem_edge.runtime.errors import ArtifactError, ManifestError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import absence, read_bytes, reading
from pem_edge.runtime.suggestions import did_you_mean_file

SUFFIXES = (".onnx", ".engine")
"""Suffixes of model files."""

DEMO = "demo"
"""Name of the model that comes with the package: pem-nano at 256x512, trained on toy streets."""

_DEMO_MODEL = Path(__file__).parent / "demo" / "pem-nano.onnx"

MAX_BYTES = 1 << 32
"""Limit on a model file; the largest published model of the family, in single precision, has a fifth of this."""

_EXPECTED, _CURE = "a model of pem-edge", "export it again"
_CHECKPOINTS = frozenset({".pth", ".pt", ".pkl", ".ckpt", ".safetensors"})
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_ENDS = _CHECKPOINTS | {*SUFFIXES, ".json"}
"""Suffixes in lower case that tell a path from the name of a model on the hub."""


@dataclass(frozen=True)
class Artifact:
    """A model file and its manifest.

    Attributes:
        model: The path of the model file.
        manifest: The manifest.
        sha256: The hexadecimal hash of the model file that the manifest was checked against; None for a file that this
            process wrote itself.
    """

    model: Path
    manifest: Manifest
    sha256: str | None = None

    @property
    def packaged(self) -> bool:
        """Whether it is the model that comes with the package, whose files stay as they are."""
        return self.model == _DEMO_MODEL

    def source(self) -> bytes | str:
        """Return what a library shall load: the bytes that were checked, or the path of a file of this process's own.

        Libraries keep what they are given, and bytes of a large model take as much memory as its weights.

        Raises:
            ArtifactError: As `read_model`.
        """
        return str(self.model) if self.sha256 is None else self.read_model()

    def read_model(self) -> bytes:
        """Return the bytes of the model file, which are what must be loaded: the file may be another one later.

        Raises:
            ArtifactError: If the file cannot be read, has changed since its manifest was checked, or is not in the
                user's list of files to trust.
        """
        data = read_bytes(self.model, ArtifactError, limit=MAX_BYTES, expected=_EXPECTED, cure=_CURE)
        if self.sha256 is not None:
            digest = hashlib.sha256(data).hexdigest()
            if digest != self.sha256:
                raise ArtifactError(f"{self.model} has changed since its manifest was read: load it again")
            require_trusted(self.model, digest, ArtifactError)
        return data


def read(path: str | Path) -> Artifact:
    """Return the artifact whose model file is ``path``, or the one that comes with the package for "demo".

    The manifest is the file beside the model, whose hash must match, or is inside a lone ``.onnx`` file. While another
    process replaces both, it is the old artifact or the new one.

    Raises:
        ArtifactError: If the file is missing or is not a model, or ``path`` is a name that no file can have.
        ManifestError: If the manifest is missing, damaged, newer than this version, or another file's.
    """
    cure = "give one such as out/pem.onnx"
    name = os.fsdecode(path)
    if not name:
        raise ArtifactError(f"the path of the model is empty: {cure}")
    model = _DEMO_MODEL if name == DEMO else Path(name)
    with reading(brief(name), ArtifactError, expected="a path of a model", cure=cure):
        while True:
            before = _state(model)
            try:
                return _read(model)
            except ManifestError:
                if _state(model) == before:
                    raise


def _state(model: Path) -> list[tuple[int, int]]:
    """Return what changes when ``model`` or its manifest is replaced."""
    found = []
    for find in (Path, manifest_path):
        with suppress(OSError, ValueError):  # the latter for names that no file can have, and for "." without a name
            status = find(model).stat()
            found.append((status.st_ino, status.st_mtime_ns))
    return found


def _read(model: Path) -> Artifact:
    with reading(model, ArtifactError, expected=_EXPECTED, cure=_CURE):
        _check_kind(model)
        data = memoryview(read_bytes(model, ArtifactError, limit=MAX_BYTES, expected=_EXPECTED, cure=_CURE))
        digest = hashlib.sha256(data).hexdigest()
        manifest = _read_beside(model, digest) or _read_inside(model, data)
        if manifest.engine is None:
            _require_consistent(model, data, manifest)
    return Artifact(model, manifest, digest)


def _check_kind(model: Path) -> None:
    """Raise ArtifactError unless ``model`` is an existing file with the suffix of a model."""
    suffix = model.suffix.lower()
    if not model.exists():
        raise ArtifactError(f"{absence(model)}{did_you_mean_file(model, [DEMO], SUFFIXES) or _cure_of(model)}")
    if model.is_dir():
        raise ArtifactError(f"{model} is a folder: give the path of the model file in it")
    if suffix in _CHECKPOINTS:
        raise ArtifactError(f"{model} is a checkpoint: export it first, with pem-export --weights {model} --to onnx")
    if suffix == ".json":
        raise ArtifactError(f"{model} is not a model: give the file beside it, such as {model.with_suffix('.onnx')}")
    if suffix not in SUFFIXES:
        raise ArtifactError(f"{model} has the suffix {suffix!r}: give a model that ends in {' or '.join(SUFFIXES)}")


def _cure_of(missing: Path) -> str:
    """Return what to give in place of a path that does not exist and resembles none that does."""
    if _HUB_NAME.fullmatch(str(missing)) and not missing.parent.exists() and missing.suffix.lower() not in _ENDS:
        command = f"pem-export --weights {missing} --to onnx"
        return f": if it is a model on the Hugging Face hub, export it first, with {command}"
    return ": give the path of an exported model, such as out/pem.onnx"


def _read_beside(model: Path, digest: str) -> Manifest | None:
    """Return the manifest in the file beside ``model``, or None if there is none or it is an engine's."""
    path = pairs.manifest_beside(model)
    if not path.exists():
        path = manifest_path(model)  # to which the waiting one may have been renamed by now
    if not path.exists():
        return None
    manifest = read_manifest(path)
    is_engine = model.suffix.lower() == ".engine"
    if manifest.engine is not None and not is_engine:
        return None
    if manifest.engine is None and is_engine:
        raise ManifestError(f"{path} describes no engine: build {model.name} again, with pem-export --to trt")
    verify_manifest(manifest, model, digest)
    return manifest


def _read_inside(model: Path, data: memoryview) -> Manifest:
    """Return the manifest in the metadata of an ``.onnx`` file. Raises ManifestError if there is none."""
    embedded = onnx_file.metadata(data).get(METADATA_KEY) if model.suffix.lower() == ".onnx" else None
    if embedded is None:
        raise ManifestError(
            f"{model} has no manifest, neither beside it ({manifest_path(model).name}) nor inside: "
            "export it with pem-export, or put its manifest back"
        )
    return parse_manifest(embedded.encode(), f"the manifest in {model}")


def _require_consistent(model: Path, data: memoryview, manifest: Manifest) -> None:
    """Raise an error if an ONNX file needs other files, which no hash covers, or takes images of other sizes."""
    if onnx_file.has_external_data(data):
        raise ArtifactError(f"{model} keeps weights in other files: save it as one file, as pem-export does")
    spec = manifest.input
    shape = onnx_file.input_shape(data, spec.name)
    if shape is None or spec.dynamic:
        return
    expected = (spec.batch, spec.height, spec.width, 3)
    if shape != expected:
        raise ManifestError(f"{model} takes images of shape {shape}, its manifest says {expected}: export it again")
