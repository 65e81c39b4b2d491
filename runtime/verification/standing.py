"""What is known of a loaded model: whether it was verified where it runs."""

from __future__ import annotations

import logging
import shlex
from functools import cache

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts.provenance import Standing, Verification
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import VerificationError

_log = logging.getLogger(__name__)
_here: dict[tuple[str | None, str], Verification] = {}
"""The verifications of this process by the model's hash and the backend: not every manifest can be written."""


def remember(loaded: Backend, verification: Verification) -> None:
    """Let later loads in this process know of a verification."""
    _here[loaded.artifact.sha256, loaded.name] = verification


def require_standing(loaded: Backend) -> None:
    """Log a line, once, if a model that runs on a GPU has not been verified there by this version of the library.

    Raises:
        VerificationError: If it was found to be wrong there, or on the CPU.
    """
    artifact = loaded.artifact
    found: Standing | None = _here.get((artifact.sha256, loaded.name)) or artifact.manifest.verified.get(loaded.name)
    model, place = str(artifact.model), loaded.gpu or "none"
    command = f"pem-export --verify {shlex.quote(model)} --backend {loaded.name}"
    if isinstance(found, Verification) and (found.gpu, found.version) == (place, backends.version(loaded.name)):
        if not found.parity.passed:
            raise VerificationError(
                f"{model} was found to compute something else than its ONNX model in {loaded.name} on "
                f"{loaded.gpu or 'the CPU'}: export it again, or verify it again, with {command}"
            )
    elif loaded.gpu is not None and not artifact.packaged:
        _tell(model, loaded.name, loaded.gpu, command)


@cache
def _tell(model: str, backend: str, gpu: str, command: str) -> None:
    _log.warning(
        "%s has not been verified in %s on %s: %s compares it with its ONNX model", model, backend, gpu, command
    )
