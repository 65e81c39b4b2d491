"""Which values each pixel is made of, and with which weights: small tables, one a side, that the kernels read.

`scaling` is OpenCV's arithmetic for 8-bit images (modules/imgproc/src/resize.cpp), so that the kernels' images are its.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels.arguments import TAPS
from pem_edge.runtime.inference.postprocess.tiles import Span, tiling

_LEAST_SHARE = 1e-3  # of a source pixel: what a target pixel covers less of does not count
_FIXED_POINT = 1 << 11


@dataclass(frozen=True, eq=False)
class SideTable:
    """Target pixel i is the sum of ``weights[i]`` (taps,) times the source pixels from ``first[i]`` on."""

    first: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scaling:
    """From an image to its scaled one, of which ``rows`` and ``columns`` are the sides.

    ``averages`` says whether it is the mean over areas, times ``scale`` and rounded ``half_up`` or else to even, or an
    interpolation.
    """

    rows: SideTable
    columns: SideTable
    averages: bool
    scale: float = 1.0
    half_up: bool = False


@dataclass(frozen=True, eq=False)
class GridTaps:
    """Where output pixels lie on the mask grid: TAPS of each row and column, the weights beyond ``count`` all 0."""

    rows: NDArray[np.void]
    columns: NDArray[np.void]

    @property
    def count(self) -> int:
        """Grid values a side that a pixel depends on, 2 or 3."""
        return 3 if any(side["weight"][:, 2].any() for side in (self.rows, self.columns)) else 2


def scaling(geometry: Geometry) -> Scaling:
    """Return how an image of ``geometry.output_size`` becomes one of ``geometry.image_size``, as preprocessing does."""
    (height, width), (rows, columns) = geometry.output_size, geometry.image_size
    if rows * columns >= height * width:
        return Scaling(_interpolated(height, rows, clamp=False), _interpolated(width, columns, clamp=True), False)
    if height % rows or width % columns:
        return Scaling(_averaged(height, rows), _averaged(width, columns), True)
    down, across = height // rows, width // columns
    half_up = (down, across) == (2, 2)
    return Scaling(_summed(down, rows), _summed(across, columns), True, 1 / (down * across), half_up)


def _interpolated(source: int, target: int, *, clamp: bool) -> SideTable:
    """Return the weights of OpenCV's INTER_LINEAR.

    Pixels beyond the edge are the edge's; with ``clamp``, the edge gets the whole weight at once.
    """
    position = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(position)
    fraction = position - first
    if clamp:
        fraction[(first < 0) | (first >= source - 1)] = 0
        first = first.clip(0, source - 1)
    weights = np.rint(np.stack([1 - fraction, fraction], axis=1) * np.float32(_FIXED_POINT))
    return SideTable(first.astype(np.int32), weights)


def _averaged(source: int, target: int) -> SideTable:
    """Return the weights of OpenCV's INTER_AREA."""
    step = source / target
    start = np.arange(target) * step
    stop = np.minimum(start + step, source)
    first = np.floor(start).astype(np.int32)
    index = first[:, None] + np.arange(int((np.ceil(stop) - first).max()))
    share = np.minimum(stop[:, None], index + 1) - np.maximum(start[:, None], index)
    weights = np.where(share > _LEAST_SHARE, share, 0) / np.minimum(step, source - start)[:, None]
    return SideTable(first, weights.astype(np.float32))


def _summed(step: int, target: int) -> SideTable:
    """Return the weights of INTER_AREA by whole pixels, whose sum is exact."""
    return SideTable(np.arange(target, dtype=np.int32) * step, np.ones((target, step), np.float32))


def grid_taps(geometry: Geometry) -> GridTaps:
    """Return where the pixels of an output of ``geometry`` lie on the mask grid."""
    tiles = tiling(geometry)
    return GridTaps(_taps(tiles.rows), _taps(tiles.columns))


def _taps(spans: tuple[Span, ...]) -> NDArray[np.void]:
    return np.concatenate([_taps_of(span) for span in spans])


def _taps_of(span: Span) -> NDArray[np.void]:
    """Return the taps of a span, of whose weights (pixels, grid) at most three in a row are not 0."""
    first = (span.weights != 0).argmax(axis=1)
    weights = np.pad(span.weights, ((0, 0), (0, 2)))
    taps = np.empty(len(first), TAPS)
    taps["first"] = span.grid.start + first
    taps["weight"] = np.take_along_axis(weights, first[:, None] + np.arange(3), axis=1)
    return taps
