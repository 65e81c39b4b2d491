"""Lists the kernel launches of preprocessing and merge, with their blocks and arguments."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels.arguments import (
    ASSIGNMENT_TILE,
    CLASS_BYTES,
    CONTENDER_BYTES,
    FIT_TILE,
    MEMBER_BYTES,
    PAINT_PIXELS,
    TILE_BYTES,
    FitArguments,
    MergeArguments,
    Side,
)
from pem_edge.runtime.backends.tensorrt.kernels.tables import Scaling, SideTable

_SHARED_BYTES = 48 * 1024
"""Shared memory that a block may have on every GPU."""

MAX_QUERIES = (_SHARED_BYTES - TILE_BYTES) // CONTENDER_BYTES
"""Maximum number of queries that the merge accepts, limited by shared memory."""


class Launch(NamedTuple):
    """A launch of a kernel with blocks of `THREADS` threads.

    Attributes:
        kernel: The kernel's name.
        blocks: The number of blocks in x and y.
        shared: Bytes of dynamic shared memory per block.
        argument: The kernel's argument.
    """

    kernel: str
    blocks: tuple[int, int]
    shared: int
    argument: ctypes.Structure


def fit(
    scaling: Scaling,
    geometry: Geometry,
    tables: tuple[int, int, int, int],
    images: tuple[int, int],
    pad_value: tuple[int, int, int],
) -> Launch:
    """Return the launch that fits an image to the model's input, as `pem_edge.runtime.inference.preprocess` does.

    Args:
        scaling: The tables that say how the image is scaled.
        geometry: The sizes of the image and of the input.
        tables: The addresses of ``first`` and ``weights`` of the scaling's rows, then of its columns.
        images: The addresses of the image, uint8 (H, W, 3), and of the input, uint8 (padded H, padded W, 3).
        pad_value: The RGB color of the padding.
    """
    sides = zip(geometry.output_size, geometry.image_size, geometry.padded_size, strict=True)
    rows, columns = (
        Side(first, weights, _taps(table), *sizes)
        for first, weights, table, sizes in zip(
            tables[::2], tables[1::2], (scaling.rows, scaling.columns), sides, strict=True
        )
    )
    pad = (ctypes.c_ubyte * 4)(*pad_value)
    argument = FitArguments(*images, rows, columns, scaling.scale, scaling.half_up, pad)
    name = "fit_average" if scaling.averages else "fit_interpolation"
    return Launch(name, _blocks(geometry.padded_size, FIT_TILE), 0, argument)


def merge(
    argument: MergeArguments,
    logits: np.dtype[np.generic],
    masks: np.dtype[np.generic],
    taps: int,
    pixel: np.dtype[np.generic],
) -> list[Launch]:
    """Return the launches, in order, that merge a model's outputs into a panoptic map.

    Args:
        argument: The argument of all the kernels.
        logits: The type of the class logits, float32 or float16.
        masks: The type of the mask logits, float32 or float16.
        taps: The number of taps per side, see `GridTaps.count`.
        pixel: The type of the map's pixels, see `map_dtype`.
    """
    pixels = argument.height * argument.width
    assignment = TILE_BYTES + CONTENDER_BYTES * argument.queries
    tiles = _blocks((argument.height, argument.width), ASSIGNMENT_TILE)
    return [
        Launch(f"merge_classify_{logits.name}", (1, 1), CLASS_BYTES * argument.queries, argument),
        Launch(f"merge_assignment_{masks.name}_{taps}_{pixel.name}", tiles, assignment, argument),
        Launch("merge_accept", (1, 1), MEMBER_BYTES * argument.queries, argument),
        Launch(f"merge_paint_{pixel.name}", (-(-pixels // PAINT_PIXELS), 1), 0, argument),
    ]


def _taps(table: SideTable) -> int:
    return int(table.weights.shape[1])


def _blocks(size: tuple[int, int], block: tuple[int, int]) -> tuple[int, int]:
    return -(-size[1] // block[1]), -(-size[0] // block[0])
