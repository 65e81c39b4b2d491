"""Calibration images, activation ranges, Q/DQ placement, sensitivity: from a graph in floating point to one in INT8."""

from calibration.block_choice import Choice, choose, sensitivity
from calibration.cache import statistics
from calibration.images import CalibrationSet, gather
from calibration.placement import PLACEMENTS, Report, blocks, quantize
from calibration.ranges import METHOD, METHODS
from calibration.scores import Agreement, PanopticScore
from calibration.tensor_statistics import Statistics, load

__all__ = [
    "METHOD",
    "METHODS",
    "PLACEMENTS",
    "Agreement",
    "CalibrationSet",
    "Choice",
    "PanopticScore",
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
