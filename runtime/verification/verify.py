"""Verifies models: compares them with their ONNX models, and keeps the result in their manifests."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

import msgspec

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.artifacts import pairs
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import manifest_path
from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import OutputError, PemError, VerificationError
from pem_edge.runtime.files import claim, write_atomically
from pem_edge.runtime.progress import Say
from pem_edge.runtime.verification import gate, source, standing
from pem_edge.runtime.verification.differences import TOLERANCES, judge
from pem_edge.runtime.verification.verdict import describe


class Outcome(NamedTuple):
    """The outcome of a comparison.

    Attributes:
        backend: The backend that ran the model.
        verification: The figures.
        complaint: What is wrong and what to try, see `verdict.describe`; None if nothing is wrong.
    """

    backend: str
    verification: Verification
    complaint: str | None

    @property
    def place(self) -> str:
        """Where the model ran, such as "tensorrt on Orin"."""
        gpu = self.verification.gpu
        return f"{self.backend} on {'the CPU' if gpu == 'none' else gpu}"


def verify(artifact: Artifact, backend: str | None, say: Say) -> Outcome:
    """Compare an artifact with its ONNX model, and keep the result in its manifest.

    Args:
        artifact: The engine, or an ONNX artifact that a backend other than ONNX Runtime on the CPU runs.
        backend: The backend to load it with; None for the first of `BACKENDS` that is installed and can run it.
        say: Takes remarks on progress.

    Raises:
        VerificationError: If there is nothing to compare with.
        BackendError: If the model cannot be loaded or run.
    """
    onnx = source.find(artifact)
    with closing(backends.create(backend, artifact)) as loaded:
        if loaded.name == "onnxruntime" and loaded.gpu is None:
            raise VerificationError(
                f"{artifact.model} runs in onnxruntime on the CPU, which is what others are compared with: verify an "
                "engine, or verify it on a machine with a GPU"
            )
        outcome = examine(loaded, onnx, say)
        standing.remember(loaded, outcome.verification)
    try:
        if not artifact.packaged:
            _keep(artifact, outcome)
    except PemError as error:
        say(f"the result cannot be kept in the manifest: {error}")
    return outcome


def examine(loaded: Backend, onnx: Artifact, say: Say) -> Outcome:
    """Compare a loaded model with its ONNX model, see `verify`."""
    manifest = loaded.artifact.manifest
    with closing(source.load(onnx)) as reference:
        tolerance = TOLERANCES[manifest.precision]

        def progress(done: int, total: int) -> None:
            say(f"verifying against {onnx.model.name}: {done} of {total} sizes")

        findings = gate.check(loaded, reference, manifest.input, tolerance, progress)
    complaint = describe(findings, manifest, tolerance)
    parity = judge([finding.difference for finding in findings], tolerance)
    verification = Verification(
        version=backends.version(loaded.name),
        gpu=loaded.gpu or "none",
        reference=f"onnxruntime {backends.version('onnxruntime')}",
        parity=msgspec.structs.replace(parity, passed=complaint is None),
    )
    return Outcome(loaded.name, verification, complaint)


def require(outcome: Outcome, artifact: Artifact) -> None:
    """Raise VerificationError if the artifact was found to be wrong."""
    if outcome.complaint is not None:
        raise VerificationError(
            f"{artifact.model} in {outcome.place} computes something else than its ONNX model: {outcome.complaint}"
        )


def _keep(artifact: Artifact, outcome: Outcome) -> None:
    """Write the verification into the manifest beside the model, if that is still the model that was verified."""
    with pairs.claim(artifact.model), claim(manifest_path(artifact.model)):
        current = artifacts.read(artifact.model)
        if current.sha256 != artifact.sha256:
            raise OutputError(f"{artifact.model} has been replaced meanwhile: verify it again")
        beside = manifest_path(artifact.model)
        if pairs.describes_engine(beside) and artifact.manifest.engine is None:
            raise OutputError(f"{beside} is the manifest of the engine beside {artifact.model}")
        manifest = msgspec.structs.replace(
            current.manifest,
            model=FileHash(artifact.model.name, str(current.sha256)),
            verified={**current.manifest.verified, outcome.backend: outcome.verification},
        )
        with write_atomically(beside, durable=True) as file:
            file.write_bytes(manifest.to_json())
