"""Quantizes an ONNX graph to INT8: calibration images, activation ranges, Q/DQ placement, and sensitivity of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pem_edge.runtime import lazy_names

if TYPE_CHECKING:
    from pem_edge.calibration.activations.ranges import METHOD, METHODS
    from pem_edge.calibration.activations.tensor_statistics import Statistics, load
    from pem_edge.calibration.assessment.block_choice import Choice, choose, sensitivity
    from pem_edge.calibration.assessment.scores import Agreement, LabeledScore
    from pem_edge.calibration.cached_statistics import statistics
    from pem_edge.calibration.images.calibration_set import CalibrationSet, gather
    from pem_edge.calibration.placement import PLACEMENTS, Report, blocks, quantize

__all__ = [
    "METHOD",
    "METHODS",
    "PLACEMENTS",
    "Agreement",
    "CalibrationSet",
    "Choice",
    "LabeledScore",
    "Report",
    "Statistics",
    "blocks",
    "choose",
    "gather",
    "load",
    "quantize",
    "sensitivity",
    "statistics",
]

__getattr__, __dir__ = lazy_names.importer(
    __name__,
    {
        "METHOD": "activations.ranges",
        "METHODS": "activations.ranges",
        "PLACEMENTS": "placement",
        "Agreement": "assessment.scores",
        "CalibrationSet": "images.calibration_set",
        "Choice": "assessment.block_choice",
        "LabeledScore": "assessment.scores",
        "Report": "placement",
        "Statistics": "activations.tensor_statistics",
        "blocks": "placement",
        "choose": "assessment.block_choice",
        "gather": "images.calibration_set",
        "load": "activations.tensor_statistics",
        "quantize": "placement",
        "sensitivity": "assessment.block_choice",
        "statistics": "cached_statistics",
    },
    extra="export",
)
