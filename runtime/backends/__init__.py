"""Lists the backends and chooses one for an artifact. A backend is imported only when it is used."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from pem_edge.runtime.backends import refusals
from pem_edge.runtime.backends.refusals import engine_command, how_to_add, is_for_engine, unknown
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.backends.table import BACKENDS, Row, available, available_for, can_run, runs_here
from pem_edge.runtime.errors import BackendError, BrokenBackend

if TYPE_CHECKING:
    from pem_edge.runtime.artifacts.artifact import Artifact
    from pem_edge.runtime.backends.base import Backend


_log = logging.getLogger(__name__)

__all__ = [
    "BACKENDS",
    "Row",
    "Settings",
    "available",
    "available_for",
    "can_run",
    "choose",
    "create",
    "engine_command",
    "how_to_add",
    "import_class",
    "is_for_engine",
    "runs_here",
    "unknown",
    "version",
]


def create(name: str | None, artifact: Artifact, settings: Settings | None = None) -> Backend:
    """Load an artifact.

    Args:
        name: The backend to load it with, a key of `BACKENDS`; None for the first that is installed and can run it.
        artifact: The model and its manifest.
        settings: How the backend may use the machine; None for the defaults.

    Raises:
        BackendError: If there is no such backend, or it is not installed or cannot run the artifact.
        BrokenBackend: If it cannot be imported, nor any other that was to be tried.
    """
    return _first_importable(choose(name, artifact))(artifact, settings)


def choose(name: str | None, artifact: Artifact) -> list[str]:
    """Return the names of the backends that `create` tries, the first one that can be imported; at least one.

    Raises:
        BackendError: If there is no such backend, or it is not installed or cannot run the artifact.
    """
    if name is not None:
        refusals.require_installed(name)
    candidates = available() if name is None else [name]
    fitting = [candidate for candidate in candidates if can_run(candidate, artifact.manifest)]
    if not fitting:
        raise BackendError(refusals.explain(candidates, artifact))
    return fitting


def _first_importable(names: list[str]) -> type[Backend]:
    """Return the class of the first backend that can be imported, and log why those before it cannot."""
    for name in names[:-1]:
        try:
            return _import(name)
        except BrokenBackend as error:  # noqa: PERF203  # few backends
            _log.warning("%s; the next backend is tried", error)
    return _import(names[-1])


def import_class(implementation: str, module: str) -> type[Backend]:
    """Import a backend.

    Args:
        implementation: The backend's class as ``module:name``.
        module: The module that it needs, which is installed.

    Raises:
        BrokenBackend: If it cannot be imported.
    """
    location, _, attribute = implementation.partition(":")
    try:
        found: type[Backend] = getattr(import_module(location), attribute)
    except Exception as error:  # loading a library can fail in any way
        reason, package = " ".join(str(error).split())[:200], module.replace("_", "-")
        raise BrokenBackend(
            f"backend {package} is installed but cannot be imported ({reason}): install it again, with "
            f"pip install --force-reinstall {package}"
        ) from error
    return found


def version(name: str) -> str:
    """Return the version of the library of a backend that can be imported."""
    return str(import_module(BACKENDS[name].needs).__version__)


def _import(name: str) -> type[Backend]:
    return import_class(BACKENDS[name].implementation, BACKENDS[name].needs)
