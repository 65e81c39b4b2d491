"""The command that follows an export: one that works here, or with the place where it works."""

from __future__ import annotations

import shlex
from pathlib import Path

from pem_edge.runtime import backends, images
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.datasets.toy_streets.classes import are_of_toys


def after_export(model: Path, manifest: Manifest) -> str:
    """Return a line that says what to do with a model file.

    An ONNX model need not run here; an engine does, as it was verified.
    """
    if backends.is_for_engine(manifest):
        return f"next, where TensorRT is installed: {backends.engine_command(model, manifest)}"
    picture = images.DEMO_STREET if are_of_toys(manifest.classes) else "photo.jpg"
    command = f"pem-run {shlex.quote(str(model))} {picture}"
    if manifest.target != "onnx" or backends.available_for(Artifact(model, manifest)):
        return f"next: {command}"
    how = backends.how_to_add(backends.BACKENDS["onnxruntime"])
    return f"next, once ONNX Runtime is installed ({how}): {command}"
