"""The published merge of query masks into a panoptic map, interpolating only what the mask grid leaves uncertain."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.postprocess.classes import ROUNDING, check, probabilities, sigmoid
from runtime.postprocess.geometry import Geometry
from runtime.postprocess.tiles import tiling
from runtime.result import Segment

_NOBODY = -1


def panoptic(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    *,
    padded_size: tuple[int, int],
    image_size: tuple[int, int],
    output_size: tuple[int, int],
    things: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> tuple[NDArray[np.int32], list[Segment]]:
    """Merge queries into a map of segment ids, int32 ``output_size``, 0 where there is none, and those segments.

    ``logits`` (Q, K+1) and ``masks`` (Q, h, w) are float32 or float16, before softmax and sigmoid, with (h, w) a
    quarter of ``padded_size``; ``things`` are the class ids whose instances are counted apart, thresholds are 0 to 1.
    The segments' ``label`` is left empty. The steps are those of Mask2Former's ``panoptic_inference``.
    Raises ValueError for shapes or sizes that do not fit together, and for values that are not finite.
    """
    geometry = Geometry(padded_size, image_size, output_size)
    check(logits, masks, geometry)
    chances = probabilities(logits)
    scores, classes = chances.max(axis=1), chances.argmax(axis=1)
    kept = (classes < logits.shape[1] - 1) & (scores > score_threshold)
    if not kept.any():
        return np.zeros(output_size, np.int32), []
    contest = _Contest(masks[kept].astype(np.float32), scores[kept], geometry)
    ids = _ids(contest.accepted(overlap_threshold), classes[kept], things)
    segments = []
    for segment_id in range(1, ids.max() + 1):
        members = np.flatnonzero(ids == segment_id)
        category = int(classes[kept][members[0]])
        score, area, bbox = contest.scores[members].max(), contest.final[members].sum(), contest.bbox(members)
        segments.append(Segment(segment_id, category, "", category in things, float(score), int(area), bbox))
    return np.append(ids, np.int32(0))[contest.owner], segments  # _NOBODY takes the last id, 0


def _ids(accepted: NDArray[np.bool_], classes: NDArray[np.intp], things: Collection[int]) -> NDArray[np.int32]:
    """A segment id per query, counting from 1, or 0 if not accepted; stuff of one class shares the id of its first."""
    ids = np.zeros(len(accepted), np.int32)
    stuff: dict[int, int] = {}
    for query in np.flatnonzero(accepted):
        category, new = int(classes[query]), int(ids.max()) + 1
        ids[query] = new if category in things else stuff.setdefault(category, new)
    return ids


class _Contest:
    """Who wins each pixel: the query with the highest class score times mask probability.

    ``won``, ``original`` and ``final`` count, per query and tile (Q, T), the pixels that a query wins, where its mask
    is at least 0.5, and both; ``owner`` (H, W) is the query to which a pixel is final. A tile whose bounds leave one
    possible winner, and no mask that may cross 0.5, is not interpolated. Nor is background (no mask reaches 0.5),
    unless a query's acceptance hangs on how much of it that query wins.
    """

    def __init__(self, masks: NDArray[np.float32], scores: NDArray[np.float32], geometry: Geometry) -> None:
        self.masks, self.scores, self.tiling = masks, scores, tiling(geometry)
        low, high = self.tiling.bounds(masks)
        confidence_low, confidence_high = scores[:, None] * sigmoid(low), scores[:, None] * sigmoid(high)
        rivals = confidence_high * (1 + ROUNDING) >= confidence_low.max(axis=0)
        alone, positive, mixed = rivals & (rivals.sum(axis=0) == 1), low >= 0, (low < 0) & (high >= 0)
        self.won, self.original, self.final = (sure * self.tiling.areas for sure in (alone, positive, alone & positive))
        self.involved = rivals | mixed
        self.owner = np.full(geometry.output_size, _NOBODY, np.int16)
        certain, background = alone.any(axis=0) & ~mixed.any(axis=0), (high < 0).all(axis=0)
        self._postponed = ~certain & background
        self._settle(~certain & ~background)
        for query, index in np.argwhere(alone & positive & certain):
            self.owner[self.tiling.tiles[index].out] = query

    def accepted(self, threshold: float) -> NDArray[np.bool_]:
        """The queries (Q,) that have final pixels, and have won ``threshold`` times as many as their original ones."""
        visible = self.final.any(axis=1)
        doubtful = visible & (self._overlap() < threshold)
        self._settle(self._postponed & self.involved[doubtful].any(axis=0))
        return visible & (self._overlap() >= threshold)

    def bbox(self, queries: NDArray[np.intp]) -> tuple[int, int, int, int]:
        """The smallest (x, y, width, height) around the final pixels of ``queries``."""
        touched: NDArray[np.bool_] = np.any(self.final[queries], axis=0)
        rows, columns = self.tiling.hull(touched)
        inside = np.isin(self.owner[rows, columns], queries)
        x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
        return columns.start + x, rows.start + y, width, height

    def _overlap(self) -> NDArray[np.float64]:
        share: NDArray[np.float64] = self.won.sum(axis=1) / np.maximum(self.original.sum(axis=1), 1)
        return share

    def _settle(self, chosen: NDArray[np.bool_]) -> None:
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
