"""Which kernels run one after another, on how many blocks, and with which arguments."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels.arguments import (
    CLASS_BYTES,
    CONTENDER_BYTES,
    FIT_BLOCK,
    MEMBER_BYTES,
    PAINT_PIXELS,
    TILE,
    TILE_BYTES,
    Fit,
    Merge,
    Side,
)
from pem_edge.runtime.backends.tensorrt.kernels.tables import Scaling, SideTable

_SHARED_BYTES = 48 * 1024
MOST_QUERIES = (_SHARED_BYTES - TILE_BYTES) // CONTENDER_BYTES
"""The number of queries that fit into the shared memory of every GPU."""


class Launch(NamedTuple):
    """A launch of ``kernel`` on ``blocks`` (x, y) of THREADS threads, with ``shared`` bytes of shared memory."""

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
    """Fit an image to the model's input, as `runtime.inference.preprocess` does.

    ``tables`` are the addresses of ``scaling``'s arrays: first and weights of its rows, then of its columns; ``images``
    those of the image, uint8 (H, W, 3), and of the input, uint8 (padded H, padded W, 3).
    """
    sides = zip(geometry.output_size, geometry.image_size, geometry.padded_size, strict=True)
    rows, columns = (
        Side(first, weights, _taps(table), *sizes)
        for first, weights, table, sizes in zip(
            tables[::2], tables[1::2], (scaling.rows, scaling.columns), sides, strict=True
        )
    )
    pad = (ctypes.c_ubyte * 4)(*pad_value)
    argument = Fit(*images, rows, columns, scaling.scale, scaling.half_up, pad)
    name = "fit_average" if scaling.averages else "fit_interpolation"
    return Launch(name, _blocks(geometry.padded_size, FIT_BLOCK), 0, argument)


def merge(argument: Merge, logits: np.dtype[np.generic], masks: np.dtype[np.generic], taps: int) -> list[Launch]:
    """Merge a model's outputs, which are of these types, into a panoptic map. ``taps`` is `GridTaps.count`."""
    pixels = argument.height * argument.width
    assignment = TILE_BYTES + CONTENDER_BYTES * argument.queries
    size = (argument.height, argument.width)
    return [
        Launch(f"merge_classify_{logits.name}", (1, 1), CLASS_BYTES * argument.queries, argument),
        Launch(f"merge_assignment_{masks.name}_{taps}", _blocks(size, TILE), assignment, argument),
        Launch("merge_accept", (1, 1), MEMBER_BYTES * argument.queries, argument),
        Launch("merge_paint", (-(-pixels // PAINT_PIXELS), 1), 0, argument),
    ]


def _taps(table: SideTable) -> int:
    return int(table.weights.shape[1])


def _blocks(size: tuple[int, int], block: tuple[int, int]) -> tuple[int, int]:
    return -(-size[1] // block[1]), -(-size[0] // block[0])
