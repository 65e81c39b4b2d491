"""The table of backends: what each needs and runs, and which are installed. None is imported for that."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pem_edge.runtime.installation import distributions

if TYPE_CHECKING:
    from pem_edge.runtime.artifacts.artifact import Artifact
    from pem_edge.runtime.artifacts.manifest import Manifest


_SINCE_DEFORM_CONV = ">=1.25"
"""The releases of ONNX Runtime that have kernels for DeformConv. There are none for Python 3.10."""


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
        native: The releases of ``needs`` that run the form "native", such as ">=1.25"; None for all.
    """

    implementation: str
    needs: str
    extra: str
    target: str
    deform_convs: frozenset[str]
    placements: frozenset[str] = frozenset({"cpu", "tensorrt"})
    library: str | None = None
    native: str | None = None

    def runs(self, form: str) -> bool:
        """Return whether the installed release runs a form of deformable convolution; a missing one counts as new."""
        return form in self.deform_convs and not (form == "native" and self.too_old())

    def too_old(self) -> dict[str, str]:
        """Return the installed builds that do not run the form "native", and their versions.

        A build whose metadata is damaged is not among them: its release is not known, and may well be new.
        """
        if self.native is None:
            return {}
        needed, builds = distributions.Requirement(self.needs, self.native), distributions.onnxruntimes()
        known = {name: version for name, version in builds.items() if version != distributions.DAMAGED}
        return {name: version for name, version in known.items() if not needed.is_met_by(version)}


BACKENDS = {
    "tensorrt": Row(
        "pem_edge.runtime.backends.tensorrt:TensorRtBackend",
        "tensorrt",
        "trt",
        "trt",
        frozenset({"standard", "gather", "native", "plugin", "nvidia"}),
    ),
    "tensorrt-rtx": Row(  # it has no plugins
        "pem_edge.runtime.backends.tensorrt:TensorRtRtxBackend",
        "tensorrt_rtx",
        "trt-rtx",
        "trt-rtx",
        frozenset({"standard", "gather"}),
    ),
    "openvino": Row(  # its CPU kernels lose accuracy on Q/DQ pairs that were placed for TensorRT
        "pem_edge.runtime.backends.openvino:OpenVino",
        "openvino",
        "openvino",
        "onnx",
        frozenset({"standard", "gather", "native"}),
        frozenset({"cpu"}),
    ),
    "onnxruntime": Row(
        "pem_edge.runtime.backends.onnxruntime:OnnxRuntime",
        "onnxruntime",
        "ort",
        "onnx",
        frozenset({"standard", "gather", "native"}),
        native=_SINCE_DEFORM_CONV,
    ),
    "onnxruntime-tensorrt": Row(  # builds for minutes when it loads a model, so it is last: used where it is named
        "pem_edge.runtime.backends.onnxruntime:OnnxRuntimeTensorRt",
        "onnxruntime",
        "ort-gpu",
        "onnx",
        frozenset({"standard", "gather", "native"}),
        library="capi/libonnxruntime_providers_tensorrt.so",
        native=_SINCE_DEFORM_CONV,
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
    return [name for name in available() if can_run(name, artifact.manifest)]


def runs_here(form: str) -> bool:
    """Return whether an installed backend for ONNX runs a form of deformable convolution."""
    return any(BACKENDS[name].target == "onnx" and BACKENDS[name].runs(form) for name in available())


def _is_installed(row: Row) -> bool:
    """Return whether there are such a module, and not just a folder of that name, and such a library."""
    spec = find_spec(row.needs)
    if spec is None or (spec.origin is None and spec.submodule_search_locations is not None):
        return False
    folders = spec.submodule_search_locations or []
    return row.library is None or any((Path(folder) / row.library).is_file() for folder in folders)


def can_run(name: str, manifest: Manifest) -> bool:
    """Return whether a backend, installed or not, runs the target, the forms and the placement of an artifact."""
    row = BACKENDS[name]
    placement_fits = manifest.quantization is None or manifest.quantization.placement in row.placements
    return row.target == manifest.target and row.runs(manifest.deform_conv) and placement_fits
