"""Bilinear resizing from the mask grid to the output, one tile of the output at a time.

The published steps resize twice (grid to padded input, its image part to the output). Each is linear and separable, so
the two together are one small matrix a side and tile: exact at any size and crop, and only where it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry

TILE = 64
"""Side of a tile in output pixels: smaller leaves less undecided, larger costs fewer calls."""

NOT_FINITE = "masks hold NaN or infinity, expected finite logits: the model overflows, use fp32"
"""What the ValueError says of such masks."""


@dataclass(frozen=True, eq=False)
class Span:
    """One side of a tile: output pixels ``out`` are ``weights`` (out, grid) times grid values ``grid``."""

    out: slice
    grid: slice
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangle of the output."""

    row: Span
    column: Span

    @property
    def out(self) -> tuple[slice, slice]:
        """Its place in the output."""
        return self.row.out, self.column.out

    def interpolate(self, masks: NDArray[np.float32], queries: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return its pixels of some of ``masks`` (Q, h, w): (queries, height, width)."""
        grid = masks[queries, self.row.grid, self.column.grid]
        values: NDArray[np.float32] = np.matmul(np.matmul(self.row.weights, grid), self.column.weights.T)
        return values


@dataclass(frozen=True, eq=False)
class Tiling:
    """The output cut into tiles, in reading order, T in all."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles."""
        return tuple(Tile(row, column) for row in self.rows for column in self.columns)

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each tile (T,)."""
        return np.array([len(tile.row.weights) * len(tile.column.weights) for tile in self.tiles])

    def hull(self, chosen: NDArray[np.bool_]) -> tuple[slice, slice]:
        """Return the smallest part of the output that holds the ``chosen`` tiles (T,), at least one of them."""
        rows, columns = zip(*(self.tiles[index].out for index in np.flatnonzero(chosen)), strict=True)
        return _hull(rows), _hull(columns)

    def bounds(self, masks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return lowest and highest value of ``masks`` (Q, h, w) on the grid each tile depends on, both (Q, T).

        Interpolated values lie between them, up to rounding. Raises ValueError if a mask is not finite.
        """
        low, high = self._extremes(np.minimum, masks), self._extremes(np.maximum, masks)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError(NOT_FINITE)
        return low, high

    def _extremes(self, extreme: np.ufunc, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        bands = np.stack([extreme.reduce(masks[:, row.grid], axis=1) for row in self.rows], axis=1)
        cells = np.stack([extreme.reduce(bands[..., column.grid], axis=2) for column in self.columns], axis=2)
        return cells.reshape(len(masks), len(self.tiles))


def _hull(parts: Sequence[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


@lru_cache(maxsize=32)
def tiling(geometry: Geometry, tile: int = TILE) -> Tiling:
    """Return the tiles, ``tile`` pixels a side, of an output of ``geometry``.

    The grid parts of neighboring tiles touch or overlap.
    """
    sides = zip(geometry.mask_size, geometry.padded_size, geometry.image_size, geometry.output_size, strict=True)
    rows, columns = (_spans(tile, *side) for side in sides)
    return Tiling(rows, columns)


def _spans(tile: int, grid: int, padded: int, image: int, output: int) -> tuple[Span, ...]:
    grid_index, grid_weight = _neighbors(padded, grid)
    image_index, image_weight = _neighbors(output, image)
    index, weight = grid_index[:, image_index], grid_weight[:, image_index] * image_weight
    return tuple(_span(slice(start, min(start + tile, output)), index, weight) for start in range(0, output, tile))


def _span(out: slice, index: NDArray[np.int64], weight: NDArray[np.float64]) -> Span:
    """Gather the four grid neighbors of each of a tile's pixels, both (2, 2, output), into its matrix."""
    following = index[..., out.stop : out.stop + 1]
    index, weight = index[..., out], weight[..., out]
    first, last = int(index.min()), max(int(index.max()), int(following.min(initial=1)) - 1)
    weights = np.zeros((index.shape[-1], last + 1 - first))
    np.add.at(weights, (np.arange(len(weights)), index - first), weight)
    return Span(out, slice(first, last + 1), weights.astype(np.float32))


def _neighbors(target: int, source: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the two source pixels that each target pixel lies between, and their weights, (2, target).

    Pixel centers are aligned as with ``align_corners=False``.
    """
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0)
    below = np.minimum(position.astype(np.int64), source - 1)
    above = np.minimum(below + 1, source - 1)
    fraction = position - below
    return np.stack([below, above]), np.stack([1.0 - fraction, fraction])
