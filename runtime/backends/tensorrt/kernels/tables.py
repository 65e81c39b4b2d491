"""Computes the interpolation tables that the kernels read: the sources and weights of each target row and column.

`scaling` follows OpenCV's arithmetic for 8-bit images (modules/imgproc/src/resize.cpp), so that the kernels compute the
same images as OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.backends.tensorrt.kernels.arguments import TAPS
from pem_edge.runtime.inference.postprocess.tiles import Span, tiling

_MIN_COVERAGE = 1e-3
"""Minimum fraction of a source pixel that a target pixel must cover for OpenCV's INTER_AREA to count it."""

_FIXED_POINT = 1 << 11
"""The scale of OpenCV's integer weights for INTER_LINEAR."""


@dataclass(frozen=True, eq=False)
class SideTable:
    """The scaling of one side: target pixel i is a weighted sum of the source pixels from ``first[i]`` on.

    Attributes:
        first: The first source pixel of each target pixel, int32 (target,).
        weights: The weights of the source pixels, float32 (target, taps).
    """

    first: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scaling:
    """The scaling of an image.

    Attributes:
        rows: The scaling of the height.
        columns: The scaling of the width.
        averages: Whether target pixels are means over areas of source pixels; if not, they are interpolated.
        scale: The factor of a mean's weighted sum.
        half_up: Whether means are rounded half up; if not, half to even.
    """

    rows: SideTable
    columns: SideTable
    averages: bool
    scale: float = 1.0
    half_up: bool = False


@dataclass(frozen=True, eq=False)
class GridTaps:
    """The positions of output pixels on the mask grid.

    Attributes:
        rows: The taps of each output row, of the dtype TAPS.
        columns: The taps of each output column, of the dtype TAPS.
    """

    rows: NDArray[np.void]
    columns: NDArray[np.void]

    @property
    def count(self) -> int:
        """Number of grid rows and of grid columns that a pixel depends on, 2 or 3; later weights are all 0."""
        return 3 if any(side["weight"][:, 2].any() for side in (self.rows, self.columns)) else 2


def scaling(geometry: Geometry) -> Scaling:
    """Return the scaling from ``geometry.output_size`` to ``geometry.image_size`` that preprocessing uses."""
    (height, width), (rows, columns) = geometry.output_size, geometry.image_size
    if rows * columns >= height * width:
        return Scaling(_interpolate(height, rows, clamp=False), _interpolate(width, columns, clamp=True), False)
    if height % rows or width % columns:
        return Scaling(_average(height, rows), _average(width, columns), True)
    down, across = height // rows, width // columns
    half_up = (down, across) == (2, 2)
    return Scaling(_sum(down, rows), _sum(across, columns), True, 1 / (down * across), half_up)


def _interpolate(source: int, target: int, *, clamp: bool) -> SideTable:
    """Return the weights of OpenCV's INTER_LINEAR, which repeats the pixels at the edges.

    Args:
        source: The number of source pixels.
        target: The number of target pixels.
        clamp: Whether a pixel at an edge gets its whole weight itself, rather than shared with its repetition, as
            OpenCV does for columns but not for rows; the two differ in rounding.
    """
    position = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(position)
    fraction = position - first
    if clamp:
        fraction[(first < 0) | (first >= source - 1)] = 0
        first = first.clip(0, source - 1)
    weights = np.rint(np.stack([1 - fraction, fraction], axis=1) * np.float32(_FIXED_POINT))
    return SideTable(first.astype(np.int32), weights)


def _average(source: int, target: int) -> SideTable:
    """Return the weights of OpenCV's INTER_AREA, for a ratio that is not an integer."""
    step = source / target
    start = np.arange(target) * step
    stop = np.minimum(start + step, source)
    first = np.floor(start).astype(np.int32)
    index = first[:, None] + np.arange(int((np.ceil(stop) - first).max()))
    coverage = np.minimum(stop[:, None], index + 1) - np.maximum(start[:, None], index)
    weights = np.where(coverage > _MIN_COVERAGE, coverage, 0) / np.minimum(step, source - start)[:, None]
    return SideTable(first, weights.astype(np.float32))


def _sum(step: int, target: int) -> SideTable:
    """Return the weights of INTER_AREA for an integer ratio: ones, whose sums are exact."""
    return SideTable(np.arange(target, dtype=np.int32) * step, np.ones((target, step), np.float32))


def grid_taps(geometry: Geometry) -> GridTaps:
    """Return the positions on the mask grid of the pixels of ``geometry.output_size``."""
    tiles = tiling(geometry)
    return GridTaps(_concatenate_taps(tiles.rows), _concatenate_taps(tiles.columns))


def _concatenate_taps(spans: tuple[Span, ...]) -> NDArray[np.void]:
    return np.concatenate([_taps_of(span) for span in spans])


def _taps_of(span: Span) -> NDArray[np.void]:
    """Return the taps of a span's pixels, each of which has at most three adjacent nonzero weights."""
    first = (span.weights != 0).argmax(axis=1)
    weights = np.pad(span.weights, ((0, 0), (0, 2)))
    taps = np.empty(len(first), TAPS)
    taps["first"] = span.grid.start + first
    taps["weight"] = np.take_along_axis(weights, first[:, None] + np.arange(3), axis=1)
    return taps
