"""Finds the ONNX model that a model is compared with, and loads it in ONNX Runtime on the CPU."""

from __future__ import annotations

from importlib.util import find_spec

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.tensorrt.engine.loading import rebuild_command
from pem_edge.runtime.errors import BackendError, VerificationError


def find(artifact: Artifact) -> Artifact:
    """Return the ONNX artifact beside an engine that it was built from; an ONNX artifact is its own.

    Raises:
        VerificationError: If it is missing or has changed.
        ArtifactError: If it cannot be read.
    """
    engine = artifact.manifest.engine
    if engine is None:
        return artifact
    name = engine.source.file
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise VerificationError(
            f"{artifact.model} was built from {name!r}, expected the name of a file beside it: build it again"
        )
    path = artifact.model.with_name(name)
    if not path.is_file():
        raise VerificationError(
            f"{path} is missing, from which {artifact.model} was built and with which it is compared: put it back "
            "beside the engine, or export both again"
        )
    source = artifacts.read(path)
    if source.sha256 != engine.source.sha256:
        raise VerificationError(
            f"{path} has changed since {artifact.model} was built from it: build it again, with "
            f"{rebuild_command(artifact)}"
        )
    return source


def load(source: Artifact) -> Backend:
    """Load an ONNX artifact in ONNX Runtime, on the CPU. Raises BackendError if that is not possible."""
    if find_spec("onnxruntime") is None:
        raise BackendError("onnxruntime is not installed, with which engines are compared: pip install onnxruntime")
    return backends.import_class("pem_edge.runtime.backends.onnxruntime:OnnxRuntimeOnCpu", "onnxruntime")(source)
