"""What is known of a loaded model: whether it was verified on the GPU that it runs on."""

from __future__ import annotations

import logging
import shlex
from functools import cache

from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.errors import VerificationError

_log = logging.getLogger(__name__)


def require_standing(loaded: Backend) -> None:
    """Log a line, once, if a model that runs on a GPU has not been verified there.

    Raises:
        VerificationError: If it was found to be wrong there.
    """
    if loaded.gpu is None:
        return
    model = str(loaded.artifact.model)
    found = loaded.artifact.manifest.verified.get(loaded.name)
    if not isinstance(found, Verification) or found.gpu != loaded.gpu:
        _tell(model, loaded.name, loaded.gpu)
    elif not found.parity.passed:
        raise VerificationError(
            f"{model} was found to compute something else than its ONNX model on {loaded.gpu}: export it again, or "
            f"verify it again, with pem-export --verify {shlex.quote(model)}"
        )


@cache
def _tell(model: str, backend: str, gpu: str) -> None:
    _log.warning(
        "%s has not been verified in %s on %s: pem-export --verify %s compares it with its ONNX model",
        *(model, backend, gpu, shlex.quote(model)),
    )
