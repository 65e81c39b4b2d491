"""The first and last steps of the panoptic merge: selects candidates, and accepts or rejects their segments.

These steps are shared by all implementations of `PixelAssignment`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.inference.postprocess.classes import probabilities
from pem_edge.runtime.results.segments import Segment


class Candidates(NamedTuple):
    """The C queries that take part in the merge, in the order of the model's outputs.

    Attributes:
        queries: The indices of the queries, (C,).
        scores: The class scores, (C,), 0 to 1.
        classes: The class ids, (C,).
    """

    queries: NDArray[np.intp]
    scores: NDArray[np.float32]
    classes: NDArray[np.intp]


class Counts(NamedTuple):
    """The numbers of pixels of each candidate, all (C,).

    Attributes:
        won: The number of pixels assigned to the candidate.
        original: The number of pixels where its mask probability is at least 0.5.
        final: The number of pixels that satisfy both conditions.
    """

    won: NDArray[np.int64]
    original: NDArray[np.int64]
    final: NDArray[np.int64]

    def overlap(self) -> NDArray[np.float64]:
        """Return the overlap ratio of each candidate, (C,): ``won`` divided by ``original``."""
        ratio: NDArray[np.float64] = self.won / np.maximum(self.original, 1)
        return ratio


class PixelAssignment(Protocol):
    """The assignment of each pixel to the candidate with the highest class score times mask probability.

    Ties go to the first candidate.
    """

    def counts(self) -> Counts:
        """Return the numbers of pixels counted so far.

        ``won`` may exclude pixels where no mask probability reaches 0.5 until `complete` counts them.
        """

    def complete(self, candidates: NDArray[np.bool_]) -> None:
        """Count the remaining pixels that may be assigned to a candidate whose flag in ``candidates`` (C,) is set."""

    def boxes(self) -> NDArray[np.int64]:
        """Return the bounding box of each candidate's final pixels, (C, 4): left, top, right, bottom, all inclusive.

        The values are undefined for candidates that have no final pixels.
        """

    def paint(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the segment map, int32 (H, W).

        Must be called last, and only once.

        Args:
            ids: The segment id to write at each candidate's final pixels, (C,). All other pixels are 0.
        """


def select_candidates(logits: NDArray[np.floating], score_threshold: float) -> Candidates:
    """Return the queries whose most probable class is not "no object" and scores above the threshold.

    Args:
        logits: Class logits, (Q, K+1). The last class is "no object".
        score_threshold: The class probability that a candidate must exceed.
    """
    class_probabilities = probabilities(logits)
    scores, classes = class_probabilities.max(axis=1), class_probabilities.argmax(axis=1)
    queries = np.flatnonzero((classes < logits.shape[1] - 1) & (scores > score_threshold))
    return Candidates(queries, scores[queries], classes[queries])


def build_segments(
    assignment: PixelAssignment, candidates: Candidates, things: Collection[int], overlap_threshold: float
) -> tuple[NDArray[np.int32], list[Segment]]:
    """Accept candidates as segments and draw the segment map.

    Args:
        assignment: The assignment of pixels to ``candidates``.
        candidates: The C queries that take part.
        things: The ids of the classes whose instances are separate segments.
        overlap_threshold: The minimum overlap ratio of an accepted candidate.

    Returns:
        The segment map, int32 (H, W), and the segments, as `panoptic` returns them.
    """
    ids = _assign_ids(_accept(assignment, overlap_threshold), candidates.classes, things)
    final, boxes, segments = assignment.counts().final, assignment.boxes(), []
    for segment_id in range(1, ids.max() + 1):
        members = np.flatnonzero(ids == segment_id)
        category, score = int(candidates.classes[members[0]]), float(candidates.scores[members].max())
        area, bbox = int(final[members].sum()), _enclosing_box(boxes[members])
        segments.append(Segment(segment_id, category, "", category in things, score, area, bbox))
    return assignment.paint(ids), segments


def _accept(assignment: PixelAssignment, threshold: float) -> NDArray[np.bool_]:
    """Return a flag for each candidate, (C,): whether it has final pixels and reaches the overlap threshold."""
    counts = assignment.counts()
    visible = counts.final > 0
    undecided = visible & (counts.overlap() < threshold)
    if undecided.any():
        assignment.complete(undecided)
        counts = assignment.counts()
    return visible & (counts.overlap() >= threshold)


def _assign_ids(accepted: NDArray[np.bool_], classes: NDArray[np.intp], things: Collection[int]) -> NDArray[np.int32]:
    """Return the segment id of each candidate, (C,), counted from 1; 0 if it is rejected.

    All stuff of one class shares an id.
    """
    ids = np.zeros(len(accepted), np.int32)
    stuff: dict[int, int] = {}
    for candidate in np.flatnonzero(accepted):
        category, new = int(classes[candidate]), int(ids.max()) + 1
        ids[candidate] = new if category in things else stuff.setdefault(category, new)
    return ids


def _enclosing_box(boxes: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Return the smallest box, as x, y, width, height, around ``boxes`` (C, 4) of left, top, right, bottom."""
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return left, top, right + 1 - left, bottom + 1 - top
