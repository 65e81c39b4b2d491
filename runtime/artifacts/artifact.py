"""Opening an artifact: finding the manifest of a model file and checking that they belong together."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.artifacts import onnx_metadata, pairs
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, manifest_path, parse_manifest, verify_manifest
from pem_edge.runtime.errors import ArtifactError, ManifestError

SUFFIXES = (".onnx", ".engine")
"""Suffixes of model files."""

DEMO = "demo"
"""Name of the model that comes with the package: pem-nano at 256x512, trained on toy streets."""

_CHECKPOINTS = frozenset({".pth", ".pt", ".pkl", ".ckpt", ".safetensors"})
_EXTERNAL_DATA_KEY = b"\x0a\x08location"  # the StringStringEntryProto.key of external tensors


@dataclass(frozen=True)
class Artifact:
    """A model file and its manifest."""

    model: Path
    manifest: Manifest


def read(path: str | Path) -> Artifact:
    """Return the artifact whose model file is ``path``, or the one that comes with the package for "demo".

    The manifest is the file beside the model, whose hash must match, or is inside a lone ``.onnx`` file.

    Raises:
        ArtifactError: If the file is missing or is not a model.
        ManifestError: If the manifest is missing, damaged, newer than this version, or another file's.
    """
    model = Path(__file__).parent / "demo" / "pem-nano.onnx" if str(path) == DEMO else Path(path)
    _check_kind(model)
    try:
        manifest = _read_beside(model) or _read_inside(model)
        if manifest.engine is None:
            _refuse_external_data(model)
    except OSError as error:
        raise ArtifactError(f"cannot read {error.filename or model}: {error.strerror or error}") from error
    return Artifact(model, manifest)


def _check_kind(model: Path) -> None:
    """Raise ArtifactError unless ``model`` is an existing file with the suffix of a model."""
    suffix = model.suffix.lower()
    if not model.exists():
        raise ArtifactError(f"{model} does not exist: give the path of an exported model, such as out/pem.onnx")
    if model.is_dir():
        raise ArtifactError(f"{model} is a folder: give the path of the model file in it")
    if suffix in _CHECKPOINTS:
        raise ArtifactError(f"{model} is a checkpoint: export it first, with pem-export --weights {model} --to onnx")
    if suffix == ".json":
        raise ArtifactError(f"{model} is not a model: give the file beside it, such as {model.with_suffix('.onnx')}")
    if suffix not in SUFFIXES:
        raise ArtifactError(f"{model} has the suffix {suffix!r}: give a model that ends in {' or '.join(SUFFIXES)}")


def _read_beside(model: Path) -> Manifest | None:
    """Return the manifest in the file beside ``model``, or None if there is none or it is an engine's."""
    path = pairs.manifest_beside(model)
    if not path.exists():
        return None
    manifest = parse_manifest(path.read_bytes(), str(path))
    is_engine = model.suffix.lower() == ".engine"
    if manifest.engine is not None and not is_engine:
        return None
    if manifest.engine is None and is_engine:
        raise ManifestError(f"{path} describes no engine: build {model.name} again, with pem-export --to trt")
    verify_manifest(manifest, model)
    return manifest


def _read_inside(model: Path) -> Manifest:
    """Return the manifest in the metadata of an ``.onnx`` file. Raises ManifestError if there is none."""
    embedded = onnx_metadata.read(model).get(METADATA_KEY) if model.suffix.lower() == ".onnx" else None
    if embedded is None:
        raise ManifestError(
            f"{model} has no manifest, neither beside it ({manifest_path(model).name}) nor inside: "
            "export it with pem-export, or put its manifest back"
        )
    return parse_manifest(embedded.encode(), f"the manifest in {model}")


def _refuse_external_data(model: Path) -> None:
    """Raise ArtifactError if weights are in other files, which no hash covers and copies of the model lack."""
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(_EXTERNAL_DATA_KEY) >= 0:
            raise ArtifactError(f"{model} keeps weights in other files: save it as one file, as pem-export does")
