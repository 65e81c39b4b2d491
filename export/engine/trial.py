"""Runs an engine that was just built, before it is written where anyone could use it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from pem_edge.export.engine.build import Built
from pem_edge.export.engine.tensorrt.targets import Target
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.errors import VerificationError
from pem_edge.runtime.files import sha256, temporary_folder
from pem_edge.runtime.progress import Say
from pem_edge.runtime.verification import verify


class Candidate(NamedTuple):
    """An engine that is to be written as ``path``, and its manifest."""

    path: Path
    built: Built
    manifest: Manifest


def backend_name(target: Target) -> str:
    """Return the name of the backend that runs engines of ``target``."""
    return next(name for name, row in backends.BACKENDS.items() if row.target == target.name)


def run(candidate: Candidate, source: Artifact, say: Say) -> dict[str, Verification]:
    """Compare an engine with the ONNX artifact that it was built from, and return the figures by backend.

    Raises:
        VerificationError: If it computes something else.
        BackendError: If one of the two cannot run.
    """
    with temporary_folder() as folder:
        path = folder / candidate.path.name
        path.write_bytes(candidate.built.data)
        hashed = msgspec.structs.replace(candidate.manifest, model=FileHash(path.name, sha256(path)))
        if candidate.built.plugin is not None:
            shutil.copyfile(candidate.built.plugin, folder / candidate.built.plugin.name)
        with closing(backends.create(None, Artifact(path, hashed))) as loaded:
            outcome = verify.examine(loaded, source, say)
    if outcome.complaint is not None:
        raise VerificationError(
            f"the engine computes something else than {source.model}, and was not written: {outcome.complaint}"
        )
    return {loaded.name: outcome.verification}
