"""Runs an engine that was just built, before it is written where anyone could use it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from pem_edge.export.engine.build import Built
from pem_edge.export.engine.tensorrt.targets import Target
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.errors import VerificationError
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.progress import Say
from pem_edge.runtime.verification import verify

NOT_YET: Literal["not verified yet"] = "not verified yet"
"""What a manifest says of an engine that has not run."""


class Candidate(NamedTuple):
    """An engine that is to be written as ``path``, and its manifest."""

    path: Path
    built: Built
    manifest: Manifest


def backend_name(target: Target) -> str:
    """Return the name of the backend that runs engines of ``target``."""
    return next(name for name, row in backends.BACKENDS.items() if row.target == target.name)


def run(candidate: Candidate, source: Artifact, say: Say) -> dict[str, Verification | Literal["not verified yet"]]:
    """Compare an engine with the ONNX artifact that it was built from, and return the figures by backend.

    Raises:
        VerificationError: If it computes something else.
        BackendError: If one of the two cannot run.
    """
    with temporary_folder() as folder:
        path = folder / candidate.path.name
        path.write_bytes(candidate.built.data)
        if candidate.built.plugin is not None:
            shutil.copyfile(candidate.built.plugin, folder / candidate.built.plugin.name)
        with closing(backends.create(None, Artifact(path, candidate.manifest))) as loaded:
            outcome = verify.examine(loaded, source, say)
    if outcome.complaint is not None:
        raise VerificationError(
            f"the engine computes something else than {source.model}, nothing was written: {outcome.complaint}"
        )
    return {loaded.name: outcome.verification}
