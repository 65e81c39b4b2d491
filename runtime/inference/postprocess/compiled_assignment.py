"""The pixel assignment in C, which interpolates masks with vector instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.acceptance import Counts
from pem_edge.runtime.inference.postprocess.native import library
from pem_edge.runtime.inference.postprocess.tiles import NOT_FINITE, Span, tiling

_TILE = 16
"""Side of a tile in output pixels, the same as TILE in layout.h."""


class CompiledAssignment:
    """A `PixelAssignment` computed by compiled functions, which work on the arrays that this object holds.

    Args:
        masks: Mask logits, (Q, h, w).
        queries: The indices of the candidates in ``masks``, (C,).
        scores: The class scores of the candidates, (C,).
        geometry: The sizes of the model's input, of the image within it, and of the result.
        functions: The functions that `library.load` returned.

    Raises:
        ValueError: If a mask is not finite.
    """

    def __init__(
        self,
        masks: NDArray[np.floating],
        queries: NDArray[np.intp],
        scores: NDArray[np.float32],
        geometry: Geometry,
        functions: library.Functions,
    ) -> None:
        if masks.dtype not in (np.float32, np.float16) or not masks.flags.c_contiguous:
            masks, queries = masks[queries].astype(np.float32, order="C"), np.arange(len(queries))
        self._masks, self._queries = masks, queries.astype(np.int64)
        self._inverse_scores = np.reciprocal(scores, dtype=np.float32)
        self._counts = np.zeros((3, len(queries)), np.int64)
        limits = np.iinfo(np.int32)
        empty = [limits.max, limits.max, limits.min, limits.min]  # any pixel widens such a box to itself
        self._boxes = np.full((len(queries), 4), empty, np.int32)
        self._map = np.empty(geometry.output_size, np.int32)
        self._sides = _sides(geometry)
        self._functions, self._assignment = functions, self._describe_buffers()
        self._workspace = np.empty(functions.workspace(self._assignment), np.uint8)
        self._assignment.workspace = self._workspace.ctypes.data
        if not functions.open(self._assignment):
            raise ValueError(NOT_FINITE)

    def counts(self) -> Counts:
        """See `PixelAssignment.counts`."""
        return Counts(*self._counts)

    def complete(self, candidates: NDArray[np.bool_]) -> None:
        """See `PixelAssignment.complete`."""
        wanted = candidates.astype(np.uint8)
        self._functions.complete(self._assignment, wanted.ctypes.data)

    def boxes(self) -> NDArray[np.int64]:
        """See `PixelAssignment.boxes`."""
        return self._boxes.astype(np.int64)

    def paint(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """See `PixelAssignment.paint`."""
        self._functions.paint(self._assignment, ids.ctypes.data)
        return self._map

    def _describe_buffers(self) -> library.AssignmentBuffers:
        """Return the structure that points the compiled functions to this object's arrays."""
        won, original, final = (counts.ctypes.data for counts in self._counts)
        return library.AssignmentBuffers(
            masks=self._masks.ctypes.data,
            queries=self._queries.ctypes.data,
            inverse_scores=self._inverse_scores.ctypes.data,
            won=won,
            original=original,
            final=final,
            boxes=self._boxes.ctypes.data,
            map=self._map.ctypes.data,
            candidates=len(self._queries),
            half=self._masks.dtype == np.float16,
            rows=self._sides[0].pack(),
            columns=self._sides[1].pack(),
        )


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of the output: the fields and arrays of `library.Side`, which layout.h describes."""

    size: int
    grid: int
    first: NDArray[np.int32]
    offset: NDArray[np.int32]
    weights: NDArray[np.float32]
    reach: NDArray[np.int32]

    def pack(self) -> library.Side:
        """Return the structure that points to these arrays."""
        arrays = (array.ctypes.data for array in (self.first, self.offset, self.weights, self.reach))
        return library.Side(len(self.first), self.size, self.grid, *arrays)


@lru_cache(maxsize=32)
def _sides(geometry: Geometry) -> tuple[_Side, _Side]:
    tiles = tiling(geometry, _TILE)
    rows, columns = zip((tiles.rows, tiles.columns), geometry.output_size, geometry.mask_size, strict=True)
    return _side(*rows), _side(*columns)


def _side(spans: Sequence[Span], size: int, grid: int) -> _Side:
    first = np.array([span.grid.start for span in spans], np.int32)
    offset = np.cumsum([0, *(span.weights.shape[1] for span in spans)], dtype=np.int32)
    weights = np.zeros((offset[-1], _TILE), np.float32)
    for span, start, stop in zip(spans, offset[:-1], offset[1:], strict=True):
        weights[start:stop, : len(span.weights)] = span.weights.T
    return _Side(size, grid, first, offset, weights, np.concatenate([_reach(span) for span in spans]))


def _reach(span: Span) -> NDArray[np.int32]:
    """Return the range of grid points that each pixel of a tile depends on, (pixels, 2): first, and one past the last.

    Grid points are numbered within the tile.
    """
    used = span.weights > 0
    return np.stack([used.argmax(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1)], axis=1).astype(np.int32)
