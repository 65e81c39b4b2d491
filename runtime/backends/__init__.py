"""The table of backends, and the choice of one for an artifact. No backend is imported before it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError

if TYPE_CHECKING:
    from pem_edge.runtime.artifacts.artifact import Artifact
    from pem_edge.runtime.backends.base import Backend


__all__ = ["BACKENDS", "Row", "Settings", "able", "available", "create"]


class Row(NamedTuple):
    """A backend in the table `BACKENDS`.

    Attributes:
        implementation: Its class, a subclass of `backends.base.Backend`, as ``module:name``.
        needs: The module that is there where the backend is installed.
        extra: The extra of this package that installs it.
        target: The target of the artifacts that it runs, see `Manifest.target`.
        deform_convs: The forms of deformable convolution that it runs, see `Manifest.deform_conv`.
        placements: The placements of Q/DQ pairs that it runs well, see `Quantization.placement`.
    """

    implementation: str
    needs: str
    extra: str
    target: str
    deform_convs: frozenset[str]
    placements: frozenset[str] = frozenset({"cpu", "tensorrt"})


_ALL = frozenset({"standard", "native", "plugin", "nvidia"})
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
        frozenset({"standard"}),
        frozenset({"cpu"}),
    ),
    "onnxruntime": Row(
        "pem_edge.runtime.backends.onnxruntime:OnnxRuntime",
        "onnxruntime",
        "ort",
        "onnx",
        frozenset({"standard", "native"}),
    ),
}
"""The backends by name, the fastest first."""


def available() -> list[str]:
    """Return names of the installed backends, the fastest first. Imports none of them."""
    return [name for name, row in BACKENDS.items() if find_spec(row.needs) is not None]


def able(artifact: Artifact) -> list[str]:
    """Return names of the installed backends that run ``artifact``'s kind and form, the fastest first."""
    return [name for name in available() if _runs(name, artifact)]


def create(name: str | None, artifact: Artifact, settings: Settings | None = None) -> Backend:
    """Load ``artifact`` with the backend called ``name``, or with the fastest installed one that can run it.

    Raises BackendError if there is no such backend, it is not installed or it cannot run the artifact.
    """
    candidates = available() if name is None else [_installed(name)]
    chosen = next((candidate for candidate in candidates if _runs(candidate, artifact)), None)
    if chosen is None:
        raise _none_of(candidates, artifact)
    module, _, attribute = BACKENDS[chosen].implementation.partition(":")
    implementation: type[Backend] = getattr(import_module(module), attribute)
    return implementation(artifact, settings)


def _runs(name: str, artifact: Artifact) -> bool:
    row, manifest = BACKENDS[name], artifact.manifest
    quantized = manifest.quantization is None or manifest.quantization.placement in row.placements
    return row.target == manifest.target and manifest.deform_conv in row.deform_convs and quantized


def _installed(name: str) -> str:
    if name not in BACKENDS:
        raise BackendError(f"no backend is called {name!r}: choose one of {', '.join(BACKENDS)}")
    if name not in available():
        raise BackendError(f"backend {name} is not installed: pip install 'pem-edge[{BACKENDS[name].extra}]'")
    return name


def _none_of(candidates: list[str], artifact: Artifact) -> BackendError:
    """Return why none of the ``candidates`` runs ``artifact``, and what would."""
    manifest = artifact.manifest
    target, form = manifest.target, manifest.deform_conv
    fitting = [name for name, row in BACKENDS.items() if row.target == target]
    if not set(fitting) & set(available()):
        wanted = " or ".join(fitting)
        extra = BACKENDS[fitting[-1]].extra
        return BackendError(
            f"{artifact.model} needs the backend {wanted}, which is not installed: pip install 'pem-edge[{extra}]'"
        )
    if not set(fitting) & set(candidates):
        return BackendError(
            f"{artifact.model} is for {' or '.join(fitting)}, not for {' or '.join(candidates)}: leave the backend to "
            "be chosen, or export for another target with --to"
        )
    if manifest.quantization is not None and manifest.quantization.placement == "tensorrt":
        return BackendError(
            f"{artifact.model} is quantized for TensorRT: build an engine with pem-export --weights {artifact.model} "
            "--to trt, run it in onnxruntime, or export with --placement cpu"
        )
    unable = " and ".join(name for name in candidates if name in fitting)
    return BackendError(
        f"{artifact.model} has its deformable convolutions in the form {form!r}, which {unable} "
        f"cannot run: export with --deform-conv standard{_or_engine(form)}"
    )


def _or_engine(form: str) -> str:
    return ", or build the engine it is for, with --to trt" if form == "plugin" else ""
