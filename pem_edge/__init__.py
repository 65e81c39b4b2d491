"""Training, exporting, verifying and running PEM models for panoptic segmentation.

Example:
    import pem_edge

    segmenter = pem_edge.load("out/pem-stdc1.onnx")
    result = segmenter("street.jpg")

Modules are imported on first use, so that ``import pem_edge`` is fast.

The subpackages are ``pem_edge.runtime`` (running exported models), ``pem_edge.pem`` (the PyTorch models),
``pem_edge.calibration`` (INT8) and ``pem_edge.export`` (checkpoint to ONNX to engine).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pem_edge.runtime import lazy_names
from pem_edge.runtime.version import __version__

if TYPE_CHECKING:
    from pem_edge import calibration, export, pem, runtime
    from pem_edge.runtime import Instance, PemError, Result, Segment, Segmenter, load

__all__ = [
    "Instance",
    "PemError",
    "Result",
    "Segment",
    "Segmenter",
    "__version__",
    "calibration",
    "export",
    "load",
    "pem",
    "runtime",
]

__getattr__ = lazy_names.importer(
    __name__,
    {
        "Instance": "runtime",
        "PemError": "runtime",
        "Result": "runtime",
        "Segment": "runtime",
        "Segmenter": "runtime",
        "calibration": ".calibration",
        "export": ".export",
        "load": "runtime",
        "pem": ".pem",
        "runtime": ".runtime",
    },
)
