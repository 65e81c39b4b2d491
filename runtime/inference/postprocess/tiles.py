"""Bilinear resizing of masks from the mask grid to the output, one tile of the output at a time.

Mask2Former resizes masks twice: from the mask grid to the padded input, and from the image part of that to the output.
Both steps are linear and separable. Combined, they are one small matrix per tile and side, which is exact for any size
and crop and need only be applied to the tiles that matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry

TILE = 64
"""Side of a tile in output pixels. Smaller tiles have tighter bounds, larger tiles need fewer calls."""

NOT_FINITE = "masks hold NaN or infinity, expected finite logits: the model overflows, use fp32"
"""Message of the ValueError raised for such masks."""


@dataclass(frozen=True, eq=False)
class Span:
    """One side of a tile, and the part of the mask grid that it depends on.

    Attributes:
        out: The range of output pixels.
        grid: The range of grid points.
        weights: The matrix (output pixels, grid points) by which values at the grid points give those at the pixels.
    """

    out: slice
    grid: slice
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangular part of the output."""

    row: Span
    column: Span

    @property
    def out(self) -> tuple[slice, slice]:
        """Rows and columns of the tile in the output."""
        return self.row.out, self.column.out

    def interpolate(self, masks: NDArray[np.float32], queries: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return the values of ``masks[queries]`` at the pixels of the tile, (queries, height, width).

        ``masks`` (Q, h, w) are on the mask grid.
        """
        grid = masks[queries, self.row.grid, self.column.grid]
        values: NDArray[np.float32] = np.matmul(np.matmul(self.row.weights, grid), self.column.weights.T)
        return values


@dataclass(frozen=True, eq=False)
class Tiling:
    """The division of the output into T tiles, in row-major order.

    Attributes:
        rows: The vertical sides of the tiles, from top to bottom.
        columns: The horizontal sides of the tiles, from left to right.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles."""
        return tuple(Tile(row, column) for row in self.rows for column in self.columns)

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Number of pixels of each tile, (T,)."""
        return np.array([len(tile.row.weights) * len(tile.column.weights) for tile in self.tiles])

    def hull(self, chosen: NDArray[np.bool_]) -> tuple[slice, slice]:
        """Return the rows and columns of the smallest rectangle around the tiles flagged by ``chosen`` (T,).

        At least one flag must be set.
        """
        rows, columns = zip(*(self.tiles[index].out for index in np.flatnonzero(chosen)), strict=True)
        return _hull(rows), _hull(columns)

    def bounds(self, masks: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return bounds for the interpolated values of each mask in each tile, which hold up to rounding.

        Args:
            masks: Mask logits on the mask grid, (Q, h, w).

        Returns:
            The lower and the upper bounds, both (Q, T): the extremes of the grid points that a tile depends on.

        Raises:
            ValueError: If a mask is not finite.
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
    """Divide an output into tiles. The parts of the mask grid that neighboring tiles depend on touch or overlap.

    Args:
        geometry: The sizes of the model's input, of the image within it, and of the output.
        tile: The side of a tile in pixels.
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
    """Return the side of a tile with the output pixels ``out``.

    Args:
        out: The range of output pixels.
        index: The four grid points that each output pixel depends on, two per resizing step, (2, 2, output).
        weight: The weights of these grid points.
    """
    following = index[..., out.stop : out.stop + 1]
    index, weight = index[..., out], weight[..., out]
    first, last = int(index.min()), max(int(index.max()), int(following.min(initial=1)) - 1)
    weights = np.zeros((index.shape[-1], last + 1 - first))
    np.add.at(weights, (np.arange(len(weights)), index - first), weight)
    return Span(out, slice(first, last + 1), weights.astype(np.float32))


def _neighbors(target: int, source: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the two source pixels on either side of each target pixel, and their weights, both (2, target).

    Pixel centers are aligned as with PyTorch's ``align_corners=False``.
    """
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0.0)
    below = np.minimum(position.astype(np.int64), source - 1)
    above = np.minimum(below + 1, source - 1)
    fraction = position - below
    return np.stack([below, above]), np.stack([1.0 - fraction, fraction])
