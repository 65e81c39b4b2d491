"""The engines that run artifacts. None is imported before it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from runtime.errors import BackendError

if TYPE_CHECKING:
    from runtime.artifact import Artifact
    from runtime.backends.base import Backend


class _Engine(NamedTuple):
    """A row of the table: its class, as ``module:name``, the extra that installs it, and what it can run."""

    implementation: str
    extra: str
    deform_convs: frozenset[str]


_ENGINES = {  # the fastest first
    "openvino": _Engine("runtime.backends.openvino:OpenVino", "openvino", frozenset({"standard"})),
    "onnxruntime": _Engine("runtime.backends.onnxruntime:OnnxRuntime", "ort", frozenset({"standard", "native"})),
}


def available() -> list[str]:
    """Names of the installed backends, the fastest first. Imports none of them."""
    return [name for name in _ENGINES if find_spec(name) is not None]


def able(artifact: Artifact) -> list[str]:
    """Names of the installed backends that run ``artifact``'s form of deformable convolution, the fastest first."""
    return [name for name in available() if artifact.manifest.deform_conv in _ENGINES[name].deform_convs]


def create(name: str | None, artifact: Artifact) -> Backend:
    """Load ``artifact`` with the backend called ``name``, or with the fastest installed one that can run it.

    Raises BackendError if there is no such backend, it is not installed or it cannot run the artifact.
    """
    candidates = available() if name is None else [_installed(name)]
    if not candidates:
        raise BackendError("no backend is installed: pip install 'pem-edge[ort]'")
    chosen = next((candidate for candidate in able(artifact) if candidate in candidates), None)
    if chosen is None:
        form = artifact.manifest.deform_conv
        raise BackendError(
            f"{artifact.model} has its deformable convolutions in the form {form!r}, which {' and '.join(candidates)} "
            "cannot run: export with --deform-conv standard"
        )
    module, _, attribute = _ENGINES[chosen].implementation.partition(":")
    backend: Backend = getattr(import_module(module), attribute)(artifact)
    return backend


def _installed(name: str) -> str:
    if name not in _ENGINES:
        raise BackendError(f"no backend is called {name!r}: choose one of {', '.join(_ENGINES)}")
    if name not in available():
        raise BackendError(f"backend {name} is not installed: pip install 'pem-edge[{_ENGINES[name].extra}]'")
    return name
