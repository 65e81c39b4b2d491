"""Says why no backend is used for a model, and what to do about that."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.runtime import installation
from pem_edge.runtime.backends.table import BACKENDS, Row, available, can_run
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.installation import distributions
from pem_edge.runtime.suggestions import no_such

if TYPE_CHECKING:
    from pem_edge.runtime.artifacts.artifact import Artifact
    from pem_edge.runtime.artifacts.manifest import Manifest


def how_to_add(row: Row) -> str:
    """Return how to install a backend. TensorRT is no package of an extra."""
    return installation.how_to_add_tensorrt() if row.target == "trt" else installation.how_to_add(row.extra)


def unknown(name: str) -> str:
    """Return a message about a name that is no backend's, which proposes those that are installed."""
    return no_such(name, BACKENDS, available())


def require_installed(name: str) -> None:
    """Raise BackendError if there is no backend called ``name``, or it is not installed."""
    if name not in BACKENDS:
        raise BackendError(f"backend: {unknown(name)}")
    if name not in available():
        raise BackendError(f"backend {name} is not installed: {how_to_add(BACKENDS[name])}")


def is_for_engine(manifest: Manifest) -> bool:
    """Return whether this is an ONNX artifact, made for an engine of TensorRT that will be built of it."""
    quantization = manifest.quantization
    needs_plugin = manifest.deform_conv in ("plugin", "nvidia")
    is_placed = quantization is not None and quantization.placement == "tensorrt"
    return manifest.target == "onnx" and (needs_plugin or is_placed)


def engine_command(model: Path, manifest: Manifest) -> str:
    """Return the command that builds the engine of an ONNX artifact, where TensorRT is installed."""
    build = f"pem-export --weights {shlex.quote(str(model))} --to trt"
    return f"pem-export --build-plugin && {build}" if manifest.deform_conv == "plugin" else build


def explain(candidates: list[str], artifact: Artifact) -> str:
    """Return the message that says why none of ``candidates`` can run ``artifact``, and what to do."""
    of_target = [name for name, row in BACKENDS.items() if row.target == artifact.manifest.target]
    usual = [name for name in of_target if BACKENDS[name].library is None]
    if not set(of_target) & set(available()):
        cure = how_to_add(BACKENDS[usual[-1]])
        return f"{artifact.model} needs the backend {' or '.join(usual)}, which is not installed: {cure}"
    if not set(of_target) & set(candidates):
        return (
            f"{artifact.model} is for {' or '.join(usual)}, not for {' or '.join(candidates)}: leave the backend "
            "to be chosen, or export for another target with --to"
        )
    return _explain_graph([name for name in candidates if name in of_target], artifact)


def _explain_graph(candidates: list[str], artifact: Artifact) -> str:
    """Return the message for ``candidates`` that run the artifact's target, but not its graph."""
    model, manifest = artifact.model, artifact.manifest
    build = f"build the engine it is for, where TensorRT is installed: {engine_command(model, manifest)}"
    others = [name for name, row in BACKENDS.items() if can_run(name, manifest) and row.library is None]
    if others and is_for_engine(manifest):
        return (
            f"{model} is quantized for TensorRT, which {' and '.join(candidates)} cannot run accurately: run it in "
            f"{' or '.join(others)}, export with --placement cpu, or {build}"
        )
    old = [name for name in candidates if BACKENDS[name].too_old()]
    if old and manifest.deform_conv == "native":
        return _explain_release(BACKENDS[old[0]], artifact)
    or_engine = f", or {build}" if is_for_engine(manifest) else ""
    return (
        f"{model} has its deformable convolutions in the form {manifest.deform_conv!r}, which "
        f"{' and '.join(candidates)} cannot run: export with --deform-conv gather{or_engine}"
    )


def _explain_release(row: Row, artifact: Artifact) -> str:
    """Return the message for a graph with DeformConv that the installed release of a library is too old for."""
    builds, old = distributions.onnxruntimes(), row.too_old()
    cures = []
    if len(builds) == 1 and sys.version_info >= (3, 11):
        cures.append(f"pip install '{next(iter(builds))}{row.native}'")
    if can_run("openvino", artifact.manifest):
        how = "" if "openvino" in available() else f" ({how_to_add(BACKENDS['openvino'])})"
        cures.append(f"use the backend openvino{how}")
    cures.append("export with --deform-conv standard")
    installed = " and ".join(f"{name} {version}" for name, version in old.items())
    return (
        f"{artifact.model} has ONNX's DeformConv, which needs {row.needs}{row.native}, and here "
        f"{'is' if len(old) == 1 else 'are'} {installed}: {', or '.join(cures)}"
    )
