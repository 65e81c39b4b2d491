"""Which queries become segments: the merge's first and last steps, which are the same wherever pixels are counted."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.inference.postprocess.classes import probabilities
from pem_edge.runtime.results.segments import Segment


class Candidates(NamedTuple):
    """The queries that take part, in order: their indices, class scores (0 to 1) and classes, each (C,)."""

    queries: NDArray[np.intp]
    scores: NDArray[np.float32]
    classes: NDArray[np.intp]


class Counts(NamedTuple):
    """Pixels of each candidate, (C,).

    Attributes:
        won: The pixels it won.
        original: The pixels where its mask is at least 0.5.
        final: The pixels that are both.
    """

    won: NDArray[np.int64]
    original: NDArray[np.int64]
    final: NDArray[np.int64]

    def overlap(self) -> NDArray[np.float64]:
        """Return pixels won per original pixel (C,)."""
        share: NDArray[np.float64] = self.won / np.maximum(self.original, 1)
        return share


class PixelAssignment(Protocol):
    """The assignment of each pixel to the candidate with the highest class score times mask probability.

    Of several, the first one has it.
    """

    def counts(self) -> Counts:
        """Return the pixels counted so far.

        ``won`` may lack pixels where no mask reaches 0.5, until `complete` counts them.
        """

    def complete(self, candidates: NDArray[np.bool_]) -> None:
        """Count every pixel that one of ``candidates`` (C,) may have won."""

    def boxes(self) -> NDArray[np.int64]:
        """Return the box of each candidate's final pixels, (C, 4) as left, top, right, bottom, all inclusive.

        The boxes of candidates without final pixels mean nothing.
        """

    def paint(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the map, int32 (H, W): the candidate's id, of ``ids`` (C,), at each of its final pixels, else 0.

        This may be called once, after everything else.
        """


def candidates(logits: NDArray[np.floating], score_threshold: float) -> Candidates:
    """Return the queries whose likeliest class is an object with a score above the threshold.

    ``logits`` are (Q, K+1).
    """
    chances = probabilities(logits)
    scores, classes = chances.max(axis=1), chances.argmax(axis=1)
    queries = np.flatnonzero((classes < logits.shape[1] - 1) & (scores > score_threshold))
    return Candidates(queries, scores[queries], classes[queries])


def conclude(
    assignment: PixelAssignment, candidates: Candidates, things: Collection[int], overlap_threshold: float
) -> tuple[NDArray[np.int32], list[Segment]]:
    """Return the map of segment ids and the segments, as `panoptic` returns them."""
    ids = _ids(_accepted(assignment, overlap_threshold), candidates.classes, things)
    final, boxes, segments = assignment.counts().final, assignment.boxes(), []
    for segment_id in range(1, ids.max() + 1):
        members = np.flatnonzero(ids == segment_id)
        category, score = int(candidates.classes[members[0]]), float(candidates.scores[members].max())
        area, bbox = int(final[members].sum()), _joint(boxes[members])
        segments.append(Segment(segment_id, category, "", category in things, score, area, bbox))
    return assignment.paint(ids), segments


def _accepted(assignment: PixelAssignment, threshold: float) -> NDArray[np.bool_]:
    """Return the candidates (C,) that have final pixels and won enough of their original ones."""
    counts = assignment.counts()
    visible = counts.final > 0
    doubtful = visible & (counts.overlap() < threshold)
    if doubtful.any():
        assignment.complete(doubtful)
        counts = assignment.counts()
    return visible & (counts.overlap() >= threshold)


def _ids(accepted: NDArray[np.bool_], classes: NDArray[np.intp], things: Collection[int]) -> NDArray[np.int32]:
    """Return a segment id for each candidate, from 1, or 0 if it is not accepted; stuff of one class shares an id."""
    ids = np.zeros(len(accepted), np.int32)
    stuff: dict[int, int] = {}
    for candidate in np.flatnonzero(accepted):
        category, new = int(classes[candidate]), int(ids.max()) + 1
        ids[candidate] = new if category in things else stuff.setdefault(category, new)
    return ids


def _joint(boxes: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Return the smallest (x, y, width, height) around boxes (C, 4) of left, top, right, bottom."""
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return left, top, right + 1 - left, bottom + 1 - top
