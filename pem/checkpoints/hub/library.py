"""Imports huggingface_hub when it is needed, and only then."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.outside.quiet_imports import without_telemetry


def import_library(name: str) -> None:
    """Import what this room uses of huggingface_hub, with its telemetry off; ``name`` is the model that needs it.

    Raises:
        CheckpointError: If it is not installed, or cannot be imported.
    """
    try:
        with without_telemetry(), redirect_stdout(sys.stderr):  # it prints what it cannot import
            from huggingface_hub import HfApi, constants, hf_hub_download  # noqa: F401  # parts are imported when named
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"there is no file {name}, and to fetch a model of that name from the Hugging Face hub, {error.name} is "
            f"not installed: {how_to_install('hub')}, or correct the path"
        ) from error
    except Exception as error:  # it reads numbers from the environment while it is imported
        raise CheckpointError(
            f"huggingface_hub cannot be imported ({type(error).__name__}: {error}): correct the HF_ variables of the "
            "environment, or pip install --force-reinstall huggingface_hub"
        ) from error
