"""The structures and constants of arguments.h, as ctypes and NumPy have them."""

from __future__ import annotations

import ctypes
from typing import ClassVar

import numpy as np

THREADS = 256
FIT_BLOCK = (32, 32)
TILE = (32, 64)
"""Height and width of what a block makes, as of FIT_BLOCK."""
PAINT_PIXELS = 2048
CLASS_BYTES, MEMBER_BYTES = 8, 8
"""Shared memory for each query where classes and where segments are found."""
TILE_BYTES, CONTENDER_BYTES = 16, 52
"""Shared memory of a tile's assignment: for the tile, and for each candidate."""

TAPS = np.dtype([("first", np.int32), ("weight", np.float32, 3)])
CANDIDATE = np.dtype(
    [
        *((name, np.int32) for name in ("query", "category")),
        ("score", np.float32),
        *((name, np.int32) for name in ("id", "won", "original", "final", "left", "top", "right", "bottom")),
    ]
)
SEGMENT = np.dtype(
    [
        ("category", np.int32),
        ("score", np.float32),
        *((name, np.int32) for name in ("area", "left", "top", "right", "bottom")),
    ]
)
SUMMARY = np.dtype([("candidates", np.int32), ("segments", np.int32), ("problems", np.uint32)])


class Side(ctypes.Structure):
    """How one side of an image is scaled and padded."""

    _fields_: ClassVar = [
        ("first", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("taps", ctypes.c_int),
        ("source", ctypes.c_int),
        ("scaled", ctypes.c_int),
        ("padded", ctypes.c_int),
    ]


class Fit(ctypes.Structure):
    """What the preprocessing is given."""

    _fields_: ClassVar = [
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("rows", Side),
        ("columns", Side),
        ("scale", ctypes.c_float),
        ("half_up", ctypes.c_int),
        ("pad", ctypes.c_ubyte * 4),
    ]


class Merge(ctypes.Structure):
    """What the merge is given."""

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
