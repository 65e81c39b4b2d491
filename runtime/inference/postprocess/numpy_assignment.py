"""The assignment of pixels in NumPy, which interpolates only what the mask grid leaves uncertain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.acceptance import Counts
from pem_edge.runtime.inference.postprocess.classes import ROUNDING, sigmoid
from pem_edge.runtime.inference.postprocess.tiles import tiling

_NOBODY = -1


class NumpyAssignment:
    """The assignment of pixels among ``queries`` (C,) of ``masks`` (Q, h, w), whose class scores are ``scores`` (C,).

    A tile is not interpolated if its bounds leave one possible winner and no mask that may cross 0.5. A tile of
    background, where no mask reaches 0.5, is interpolated only when the acceptance of a candidate depends on it.

    Attributes:
        won: The pixels that each candidate wins in each tile, (C, T).
        original: The pixels where its mask is at least 0.5, (C, T).
        final: The pixels that are both, (C, T).
        owner: The candidate to which each pixel is final, (H, W).

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
        self.owner = np.full(geometry.output_size, _NOBODY, np.int16)
        certain, background = alone.any(axis=0) & ~mixed.any(axis=0), (high < 0).all(axis=0)
        self._postponed = ~certain & background
        self._complete(~certain & ~background)
        for candidate, index in np.argwhere(alone & positive & certain):
            self.owner[self.tiling.tiles[index].out] = candidate

    def counts(self) -> Counts:
        """See `PixelAssignment`."""
        return Counts(self.won.sum(axis=1), self.original.sum(axis=1), self.final.sum(axis=1))

    def complete(self, candidates: NDArray[np.bool_]) -> None:
        """See `PixelAssignment`."""
        self._complete(self._postponed & self.involved[candidates].any(axis=0))

    def boxes(self) -> NDArray[np.int64]:
        """See `PixelAssignment`."""
        return np.array([self._box(candidate) for candidate in range(len(self.scores))])

    def paint(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """See `PixelAssignment`."""
        return np.append(ids, np.int32(0))[self.owner]  # _NOBODY takes the last id, 0

    def _box(self, candidate: int) -> tuple[int, int, int, int]:
        touched: NDArray[np.bool_] = self.final[candidate] > 0
        if not touched.any():
            return 0, 0, 0, 0
        rows, columns = self.tiling.hull(touched)
        inside = self.owner[rows, columns] == candidate
        x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
        left, top = columns.start + x, rows.start + y
        return left, top, left + width - 1, top + height - 1

    def _complete(self, chosen: NDArray[np.bool_]) -> None:
        """Interpolate the ``chosen`` tiles (T,): count their pixels and assign them."""
        for index in np.flatnonzero(chosen):
            tile, queries = self.tiling.tiles[index], np.flatnonzero(self.involved[:, index])
            values = tile.interpolate(self.masks, queries)
            winner = (self.scores[queries, None, None] * sigmoid(values)).argmax(axis=0)
            won, original = winner == np.arange(len(queries))[:, None, None], values >= 0
            final = won & original
            for count, pixels in ((self.won, won), (self.original, original), (self.final, final)):
                count[queries, index] = [np.count_nonzero(plane) for plane in pixels]
            self.owner[tile.out] = np.where(final.any(axis=0), queries[winner], _NOBODY)
