"""The command that follows an export: one that works here, or with the place where it works."""

from __future__ import annotations

import shlex
from pathlib import Path

from pem_edge.runtime import backends, images
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.datasets.toy_streets.classes import are_of_toys


def after_export(model: Path, manifest: Manifest) -> str:
    """Return a line that says what to do with a model file, which need not run here."""
    if backends.is_for_engine(manifest):
        return f"next, where TensorRT is installed: {backends.engine_command(model, manifest)}"
    picture = images.DEMO_STREET if are_of_toys(manifest.classes) else "photo.jpg"
    command = f"pem-run {shlex.quote(str(model))} {picture}"
    if backends.available_for(Artifact(model, manifest)):
        return f"next: {command}"
    row = next(row for row in reversed(backends.BACKENDS.values()) if row.target == manifest.target and not row.library)
    return f"next, on a machine with {row.needs} ({backends.how_to_add(row)}): {command}"
