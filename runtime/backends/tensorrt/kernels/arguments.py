"""The structures and constants of the header ``arguments.h``, as ctypes structures and NumPy types."""

from __future__ import annotations

import ctypes
from typing import ClassVar

import numpy as np

THREADS = 256
"""Number of threads per block, in all kernels."""

FIT_TILE = (32, 32)
"""Height and width of the pixels that a block of the preprocessing computes."""

ASSIGNMENT_TILE = (32, 64)
"""Height and width of the pixels that a block of the assignment computes."""

PAINT_PIXELS = 2048
"""Number of pixels that a block of the painting computes."""

CLASS_BYTES = 8
"""Bytes of shared memory per query in the classification."""

MEMBER_BYTES = 8
"""Bytes of shared memory per query in the acceptance."""

TILE_BYTES = 16
"""Bytes of shared memory per block in the assignment, besides those for the candidates."""

CONTENDER_BYTES = 52
"""Bytes of shared memory per candidate in the assignment."""

TAPS = np.dtype([("first", np.int32), ("weight", np.float32, 3)])
"""The position of an output row or column on the mask grid."""

CANDIDATE = np.dtype(
    [
        *((name, np.int32) for name in ("query", "category")),
        ("score", np.float32),
        *((name, np.int32) for name in ("id", "won", "original", "final", "left", "top", "right", "bottom")),
    ]
)
"""A query that takes part in the merge."""

SEGMENT = np.dtype(
    [
        ("category", np.int32),
        ("score", np.float32),
        *((name, np.int32) for name in ("area", "left", "top", "right", "bottom")),
    ]
)
"""A segment of a panoptic map, its bounding box including ``right`` and ``bottom``."""

SUMMARY = np.dtype([("candidates", np.int32), ("segments", np.int32), ("problems", np.uint32)])
"""The numbers of candidates and segments of a merge, and flags for outputs that are not finite."""


class Side(ctypes.Structure):
    """Describes how one side of an image is scaled and padded."""

    _fields_: ClassVar = [
        ("first", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("taps", ctypes.c_int),
        ("source", ctypes.c_int),
        ("scaled", ctypes.c_int),
        ("padded", ctypes.c_int),
    ]


class FitArguments(ctypes.Structure):
    """The argument of the preprocessing kernels."""

    _fields_: ClassVar = [
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("rows", Side),
        ("columns", Side),
        ("scale", ctypes.c_float),
        ("half_up", ctypes.c_int),
        ("pad", ctypes.c_ubyte * 4),
    ]


class MergeArguments(ctypes.Structure):
    """The argument of the merge kernels."""

    _fields_: ClassVar = [
        ("logits", ctypes.c_void_p),
        ("masks", ctypes.c_void_p),
        ("is_thing", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("candidates", ctypes.c_void_p),
        ("summary", ctypes.c_void_p),
        ("segments", ctypes.c_void_p),
        ("map", ctypes.c_void_p),
        ("overlap_threshold", ctypes.c_double),
        ("score_threshold", ctypes.c_float),
        ("queries", ctypes.c_int),
        ("classes", ctypes.c_int),
        ("grid_height", ctypes.c_int),
        ("grid_width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
    ]


def map_dtype(queries: int) -> np.dtype[np.generic]:
    """Return the smallest type of unsigned integers for the pixels of a map of up to ``queries`` segments."""
    return np.min_scalar_type(queries)
