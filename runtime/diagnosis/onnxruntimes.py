"""Packages of ONNX Runtime, such as onnxruntime-gpu: all have the same files, so that only one may be installed."""

from __future__ import annotations

from pem_edge.runtime.diagnosis import distributions, libraries
from pem_edge.runtime.installation import how_to_install

_GPU = "onnxruntime-gpu"


def installed() -> dict[str, str]:
    """Return the installed packages and their versions."""
    return distributions.alike("onnxruntime")


def keep_one() -> str:
    """Return the command that leaves one of several: the one for GPUs, if there is one that CUDA can use."""
    kept = "ort-gpu" if _GPU in installed() and libraries.ask("cuda").content is not None else "ort"
    return f"pip uninstall -y {' '.join(installed())} && {how_to_install(kept)}"


def how_to_add(extra: str) -> str:
    """Return the command that installs an extra. The one for GPUs must take the place of what is there."""
    others = [name for name in installed() if name != _GPU]
    if extra == "ort-gpu" and others:
        return f"pip uninstall -y {' '.join(others)} && {how_to_install(extra)}"
    return how_to_install(extra)
