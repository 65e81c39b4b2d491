"""Builds of ONNX Runtime, such as onnxruntime-gpu: all have the same files, so that only one may be installed."""

from __future__ import annotations

from pem_edge.runtime.diagnosis import libraries
from pem_edge.runtime.installation import distributions, how_to_install


def keep_one() -> str:
    """Return the command that leaves one of several: the one for GPUs, if there is one that CUDA can use."""
    found = distributions.onnxruntimes()
    has_cuda = distributions.ONNXRUNTIME_GPU in found and libraries.ask("cuda").content is not None
    return f"pip uninstall -y {' '.join(found)} && {how_to_install('ort-gpu' if has_cuda else 'ort')}"
