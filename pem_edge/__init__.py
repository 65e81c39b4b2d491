"""Take panoptic segmentation models from a checkpoint to the machine where they run.

Everything is imported when it is first used, so that ``import pem_edge`` takes next to no time:

    import pem_edge

    segmenter = pem_edge.load("out/pem-stdc1.onnx")
    result = segmenter("street.jpg")

The four rooms are ``pem_edge.runtime`` (run artifacts), ``pem_edge.pem`` (the PyTorch models),
``pem_edge.calibration`` (INT8) and ``pem_edge.export`` (checkpoint to ONNX to engine).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pem_edge import calibration, export, pem, runtime
    from pem_edge.runtime import Instance, PemError, Result, Segment, Segmenter, load

__all__ = [
    "Instance",
    "PemError",
    "Result",
    "Segment",
    "Segmenter",
    "calibration",
    "export",
    "load",
    "pem",
    "runtime",
]

_ROOMS = {"calibration", "export", "pem", "runtime"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(f"{__name__}.runtime"), name)
