"""The pixel assignment in NumPy, the reference for the compiled one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.acceptance import Counts
from pem_edge.runtime.inference.postprocess.classes import ROUNDING, sigmoid
from pem_edge.runtime.inference.postprocess.tiles import tiling

_UNASSIGNED = -1


class NumpyAssignment:
    """A `PixelAssignment` that interpolates masks only in tiles where their bounds on the mask grid are not enough.

    The bounds are enough if they leave one possible winner and no mask probability can cross 0.5 in the tile. Tiles of
    background, where no mask probability reaches 0.5, are interpolated only if the acceptance of a candidate depends on
    them.

    Args:
        masks: Mask logits, (Q, h, w).
        queries: The indices of the candidates in ``masks``, (C,).
        scores: The class scores of the candidates, (C,).
        geometry: The sizes of the model's input, of the image within it, and of the result.

    Attributes:
        masks: The mask logits of the candidates, (C, h, w).
        scores: The class scores of the candidates, (C,).
        tiling: The tiles of the output.
        won: The number of pixels of each tile that are assigned to each candidate, (C, T).
        original: The number of pixels of each tile where its mask probability is at least 0.5, (C, T).
        final: The number of pixels of each tile that satisfy both conditions, (C, T).
        involved: Whether a candidate must be interpolated in a tile if that tile is interpolated, (C, T).
        segment_map: The candidate that each pixel is final for, int16 (H, W), or -1.

    Raises:
        ValueError: If a mask is not finite.
    """

    def __init__(
        self,
        masks: NDArray[np.floating],
        queries: NDArray[np.intp],
        scores: NDArray[np.float32],
        geometry: Geometry,
    ) -> None:
        self.masks, self.scores, self.tiling = masks[queries].astype(np.float32), scores, tiling(geometry)
        low, high = self.tiling.bounds(self.masks)
        confidence_low, confidence_high = scores[:, None] * sigmoid(low), scores[:, None] * sigmoid(high)
        possible = confidence_high * (1 + ROUNDING) >= confidence_low.max(axis=0)
        alone, positive, mixed = possible & (possible.sum(axis=0) == 1), low >= 0, (low < 0) & (high >= 0)
        self.won, self.original, self.final = (sure * self.tiling.areas for sure in (alone, positive, alone & positive))
        self.involved = possible | mixed
        self.segment_map = np.full(geometry.output_size, _UNASSIGNED, np.int16)
        certain, background = alone.any(axis=0) & ~mixed.any(axis=0), (high < 0).all(axis=0)
        self._postponed = ~certain & background
        self._interpolate(~certain & ~background)
        for candidate, index in np.argwhere(alone & positive & certain):
            self.segment_map[self.tiling.tiles[index].out] = candidate

    def counts(self) -> Counts:
        """See `PixelAssignment.counts`."""
        return Counts(self.won.sum(axis=1), self.original.sum(axis=1), self.final.sum(axis=1))

    def complete(self, candidates: NDArray[np.bool_]) -> None:
        """See `PixelAssignment.complete`."""
        self._interpolate(self._postponed & self.involved[candidates].any(axis=0))

    def boxes(self) -> NDArray[np.int64]:
        """See `PixelAssignment.boxes`."""
        return np.array([self._box(candidate) for candidate in range(len(self.scores))])

    def paint(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """See `PixelAssignment.paint`."""
        return np.append(ids, np.int32(0))[self.segment_map]  # _UNASSIGNED, -1, selects the appended 0

    def _box(self, candidate: int) -> tuple[int, int, int, int]:
        touched: NDArray[np.bool_] = self.final[candidate] > 0
        if not touched.any():
            return 0, 0, 0, 0
        rows, columns = self.tiling.hull(touched)
        inside = self.segment_map[rows, columns] == candidate
        x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
        left, top = columns.start + x, rows.start + y
        return left, top, left + width - 1, top + height - 1

    def _interpolate(self, chosen: NDArray[np.bool_]) -> None:
        """Interpolate the masks in the tiles flagged by ``chosen`` (T,), and count and assign the tiles' pixels."""
        for index in np.flatnonzero(chosen):
            tile, queries = self.tiling.tiles[index], np.flatnonzero(self.involved[:, index])
            values = tile.interpolate(self.masks, queries)
            winner = (self.scores[queries, None, None] * sigmoid(values)).argmax(axis=0)
            won, original = winner == np.arange(len(queries))[:, None, None], values >= 0
            final = won & original
            for count, pixels in ((self.won, won), (self.original, original), (self.final, final)):
                count[queries, index] = [np.count_nonzero(plane) for plane in pixels]
            self.segment_map[tile.out] = np.where(final.any(axis=0), queries[winner], _UNASSIGNED)
