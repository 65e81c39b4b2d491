"""Packages of ONNX Runtime, such as onnxruntime-gpu: all have the same files, so that only one may be installed."""

from __future__ import annotations

from pem_edge.runtime.diagnosis import libraries
from pem_edge.runtime.installation import ONNXRUNTIME_GPU, distributions, how_to_install


def installed() -> dict[str, str]:
    """Return the installed packages and their versions."""
    return distributions.alike("onnxruntime")


def keep_one() -> str:
    """Return the command that leaves one of several: the one for GPUs, if there is one that CUDA can use."""
    kept = "ort-gpu" if ONNXRUNTIME_GPU in installed() and libraries.ask("cuda").content is not None else "ort"
    return f"pip uninstall -y {' '.join(installed())} && {how_to_install(kept)}"
