"""Lists the backends and chooses one for an artifact. A backend is imported only when it is used."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError, BrokenBackend
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.suggestions import no_such

if TYPE_CHECKING:
    from pem_edge.runtime.artifacts.artifact import Artifact
    from pem_edge.runtime.backends.base import Backend


_log = logging.getLogger(__name__)

__all__ = ["BACKENDS", "Row", "Settings", "available", "available_for", "create", "import_class", "unknown", "version"]


class Row(NamedTuple):
    """A backend in the table `BACKENDS`.

    Attributes:
        implementation: The backend's class, a subclass of `backends.base.Backend`, as ``module:name``.
        needs: The module whose presence shows that the backend is installed.
        extra: The extra of this package that installs the backend.
        target: The target of the artifacts that the backend runs, see `Manifest.target`.
        deform_convs: The forms of deformable convolution that the backend runs, see `Manifest.deform_conv`.
        placements: The placements of Q/DQ pairs that the backend runs accurately, see `Quantization.placement`.
        library: A file in the module's folder that the backend also needs; None if the module is enough.
    """

    implementation: str
    needs: str
    extra: str
    target: str
    deform_convs: frozenset[str]
    placements: frozenset[str] = frozenset({"cpu", "tensorrt"})
    library: str | None = None


_ALL = frozenset({"standard", "gather", "native", "plugin", "nvidia"})
BACKENDS = {
    "tensorrt": Row("pem_edge.runtime.backends.tensorrt:TensorRtBackend", "tensorrt", "trt", "trt", _ALL),
    "tensorrt-rtx": Row(
        "pem_edge.runtime.backends.tensorrt:TensorRtRtxBackend", "tensorrt_rtx", "trt-rtx", "trt-rtx", _ALL
    ),
    "openvino": Row(  # its CPU kernels lose accuracy on Q/DQ pairs that were placed for TensorRT
        "pem_edge.runtime.backends.openvino:OpenVino",
        "openvino",
        "openvino",
        "onnx",
        frozenset({"standard", "gather"}),
        frozenset({"cpu"}),
    ),
    "onnxruntime": Row(
        "pem_edge.runtime.backends.onnxruntime:OnnxRuntime",
        "onnxruntime",
        "ort",
        "onnx",
        frozenset({"standard", "gather", "native"}),
    ),
    "onnxruntime-tensorrt": Row(  # builds for minutes when it loads a model, so it is last: used where it is named
        "pem_edge.runtime.backends.onnxruntime:OnnxRuntimeTensorRt",
        "onnxruntime",
        "ort-gpu",
        "onnx",
        frozenset({"standard", "gather", "native"}),
        library="capi/libonnxruntime_providers_tensorrt.so",
    ),
}
"""The backends by name, those first that are to be preferred."""


def available() -> list[str]:
    """Return the names of the installed backends, preferred ones first, without importing them.

    Example:
        >>> import pem_edge
        >>> from pem_edge.runtime import backends
        >>> for name in backends.available_for(pem_edge.load("demo").backend.artifact):
        ...     segmenter = pem_edge.load("demo", backend=name)
    """
    return [name for name, row in BACKENDS.items() if _is_installed(row)]


def available_for(artifact: Artifact) -> list[str]:
    """Return the names of the installed backends that can run ``artifact``, preferred ones first."""
    return [name for name in available() if _can_run(name, artifact)]


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
        _require_installed(name)
    candidates = available() if name is None else [name]
    fitting = [candidate for candidate in candidates if _can_run(candidate, artifact)]
    if not fitting:
        raise BackendError(_explain_refusal(candidates, artifact))
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


def _is_installed(row: Row) -> bool:
    """Return whether there are such a module, and not just a folder of that name, and such a library."""
    spec = find_spec(row.needs)
    if spec is None or (spec.origin is None and spec.submodule_search_locations is not None):
        return False
    folders = spec.submodule_search_locations or []
    return row.library is None or any((Path(folder) / row.library).is_file() for folder in folders)


def _can_run(name: str, artifact: Artifact) -> bool:
    row, manifest = BACKENDS[name], artifact.manifest
    placement_fits = manifest.quantization is None or manifest.quantization.placement in row.placements
    return row.target == manifest.target and manifest.deform_conv in row.deform_convs and placement_fits


def how_to_add(row: Row) -> str:
    """Return how to install a backend. TensorRT is no package that pip finds, and ONNX Runtimes exclude each other."""
    command = how_to_install(row.extra)
    if row.target == "trt":
        return f"it comes with JetPack or from NVIDIA's package index, see docs/tensorrt.md; the rest with {command}"
    if row.extra == "ort-gpu" and find_spec("onnxruntime") is not None:
        return f"pip uninstall -y onnxruntime && {command}"
    return command


def unknown(name: str) -> str:
    """Return a message about a name that is no backend's, which proposes those that are installed."""
    return no_such(name, available() or BACKENDS)


def _require_installed(name: str) -> None:
    if name not in BACKENDS:
        raise BackendError(f"backend: {unknown(name)}")
    if name not in available():
        raise BackendError(f"backend {name} is not installed: {how_to_add(BACKENDS[name])}")


def _explain_refusal(candidates: list[str], artifact: Artifact) -> str:
    """Return the message that says why none of ``candidates`` can run ``artifact``, and what to do."""
    of_target = [name for name, row in BACKENDS.items() if row.target == artifact.manifest.target]
    usual = [name for name in of_target if BACKENDS[name].library is None]
    if not set(of_target) & set(available()):
        extra = BACKENDS[usual[-1]].extra
        return (
            f"{artifact.model} needs the backend {' or '.join(usual)}, which is not installed: {how_to_install(extra)}"
        )
    if not set(of_target) & set(candidates):
        return (
            f"{artifact.model} is for {' or '.join(usual)}, not for {' or '.join(candidates)}: leave the backend "
            "to be chosen, or export for another target with --to"
        )
    return _explain_graph_refusal([name for name in candidates if name in of_target], artifact)


def _explain_graph_refusal(candidates: list[str], artifact: Artifact) -> str:
    """Return the message for ``candidates`` that run the artifact's target, but not its graph."""
    manifest = artifact.manifest
    others = [name for name, row in BACKENDS.items() if _can_run(name, artifact) and row.library is None]
    if others and manifest.quantization is not None and manifest.quantization.placement == "tensorrt":
        return (
            f"{artifact.model} is quantized for TensorRT: build an engine with pem-export --weights {artifact.model} "
            f"--to trt, run it in {' or '.join(others)}, or export with --placement cpu"
        )
    or_engine = ", or build the engine it is for, with --to trt" if manifest.deform_conv == "plugin" else ""
    return (
        f"{artifact.model} has its deformable convolutions in the form {manifest.deform_conv!r}, which "
        f"{' and '.join(candidates)} cannot run: export with --deform-conv gather{or_engine}"
    )
