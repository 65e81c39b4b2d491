"""Bilinear resizing from the mask grid to the output, one tile of the output at a time.

The published steps resize twice (grid to padded input, its image part to the output). Each is linear and separable, so
the two together are one small matrix a side and tile: exact at any size and crop, and only where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runtime.postprocess.geometry import Geometry

TILE = 64
"""Side of a tile in output pixels: smaller leaves less undecided, larger costs fewer calls."""


@dataclass(frozen=True)
class Span:
    """One side of a tile: output pixels ``out`` are ``weights`` (out, grid) times grid values ``grid``."""

    out: slice
    grid: slice
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Tiling:
    """The output cut into tiles: ``rows`` (top to bottom) times ``columns`` (left to right)."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each tile, (rows, columns)."""
        heights, widths = ([len(span.weights) for span in spans] for spans in (self.rows, self.columns))
        return np.outer(heights, widths)

    def where(self, chosen: NDArray[np.bool_]) -> Iterator[tuple[tuple[int, int], Span, Span]]:
        """Index, row span and column span of every tile that is true in ``chosen`` (rows, columns)."""
        for row, column in zip(*np.nonzero(chosen), strict=True):
            yield (row, column), self.rows[row], self.columns[column]

    def bounds(self, masks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest grid value that each tile depends on, both (Q, rows, columns).

        Interpolated values lie between them, up to rounding. Raises ValueError if a mask is not finite.
        """
        low, high = self._extremes(np.minimum, masks), self._extremes(np.maximum, masks)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError("masks hold NaN or infinity, expected finite logits: the model overflows, use fp32")
        return low, high

    def _extremes(self, extreme: np.ufunc, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        bands = np.stack([extreme.reduce(masks[:, row.grid], axis=1) for row in self.rows], axis=1)
        return np.stack([extreme.reduce(bands[..., column.grid], axis=2) for column in self.columns], axis=2)


def interpolate(masks: NDArray[np.float32], row: Span, column: Span) -> NDArray[np.float32]:
    """The tile's values of masks that were cut to its grid values: (Q, grid, grid) to (Q, out, out)."""
    return np.matmul(np.matmul(row.weights, masks), column.weights.T)


@lru_cache(maxsize=32)
def tiling(geometry: Geometry) -> Tiling:
    """The tiles of an output of ``geometry``."""
    sides = zip(geometry.mask_size, geometry.padded_size, geometry.image_size, geometry.output_size, strict=True)
    rows, columns = (_spans(*side) for side in sides)
    return Tiling(rows, columns)


def _spans(grid: int, padded: int, image: int, output: int) -> tuple[Span, ...]:
    grid_index, grid_weight = _neighbours(padded, grid)
    image_index, image_weight = _neighbours(output, image)
    index, weight = grid_index[:, image_index], grid_weight[:, image_index] * image_weight
    return tuple(_span(slice(i, min(i + TILE, output)), index, weight) for i in range(0, output, TILE))


def _span(out: slice, index: NDArray[np.int64], weight: NDArray[np.float64]) -> Span:
    """Scatter the four (index, weight) of each of a tile's pixels, both (2, 2, output), into its matrix."""
    index, weight = index[..., out], weight[..., out]
    first = int(index.min())
    weights = np.zeros((out.stop - out.start, int(index.max()) + 1 - first))
    np.add.at(weights, (np.arange(len(weights)), index - first), weight)
    return Span(out, slice(first, first + weights.shape[1]), weights.astype(np.float32))


def _neighbours(target: int, source: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two source pixels each target pixel lies between and their weights (align_corners=False), both (2, target)."""
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0)
    below = np.minimum(position.astype(np.int64), source - 1)
    above = np.minimum(below + 1, source - 1)
    fraction = position - below
    return np.stack([below, above]), np.stack([1.0 - fraction, fraction])
