"""Panoptic quality (Kirillov et al., 2019, https://arxiv.org/abs/1801.00868), as COCO's panoptic API computes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import TrueSegment
from pem_edge.runtime.evaluation.metrics.matching import Matching, Region, classes_of, match


class Quality(TypedDict):
    """Percentages 0 to 100: recognition ``rq``, segmentation ``sq`` of what is recognized, and panoptic quality ``pq``.

    None if no class took part.
    """

    pq: float | None
    sq: float | None
    rq: float | None


class ClassQuality(Quality):
    """Those of one class, None if it is in neither truth nor prediction; its true and false positives, and misses."""

    tp: int
    fp: int
    fn: int


class PanopticScores(TypedDict):
    """Means over the classes that are in truth or prediction, and every class's own."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: list[ClassQuality]


class PanopticQuality:
    """PQ, SQ and RQ of ``num_classes`` classes, of which ``things`` are the indices of those with instances.

    Segments of one class match if their intersection over union, without the truth's void, is above one half. Crowds
    match nothing; a prediction of which more than half is on void and a crowd of its class is not counted. Of several
    crowds of a class in an image the last one counts, as in the API.
    """

    def __init__(self, *, things: Collection[int], num_classes: int) -> None:
        if not set(things) <= set(range(num_classes)):
            raise ValueError(f"things are {sorted(things)}, expected to be out of 0 to {num_classes - 1}")
        self._isthing = np.isin(np.arange(num_classes), list(things))
        self._tp, self._fp, self._fn = np.zeros((3, num_classes), np.int64)
        self._iou = np.zeros(num_classes)

    def update(
        self,
        pred: NDArray[np.integer],
        pred_segments: Sequence[Region],
        true: NDArray[np.integer],
        true_segments: Sequence[TrueSegment],
    ) -> Matching:
        """Add an image: panoptic maps (H, W), 0 is void, and their segments. Returns which of them match.

        Raises ValueError for maps of different shapes, ids listed twice or not at all, classes out of range, and
        predicted segments without pixels.
        """
        true_classes, pred_classes = self._classes(true_segments), self._classes(pred_segments)
        matching = match(pred, pred_segments, true, true_segments)
        classes = true_classes[matching.matched.nonzero()[0]]
        self._tp += self._count(classes)
        self._iou += np.bincount(classes, matching.iou[matching.matched], len(self._iou))
        self._fn += self._count(true_classes[matching.missed])
        self._fp += self._count(pred_classes[matching.spurious])
        return matching

    def merge(self, other: PanopticQuality) -> None:
        """Add the images that ``other`` has seen."""
        self._tp += other._tp
        self._fp += other._fp
        self._fn += other._fn
        self._iou += other._iou

    def compute(self) -> PanopticScores:
        """Return the scores of all images so far."""
        total = self._tp + 0.5 * (self._fp + self._fn)
        present, each = total > 0, np.eye(len(total), dtype=bool)
        fit, found = self._iou / np.maximum(self._tp, 1), self._tp / np.maximum(total, 0.5)
        scores = 100 * np.stack([fit * found, fit, found])
        counts = np.stack([self._tp, self._fp, self._fn], 1).tolist()
        return {
            "all": _mean(scores[:, present]),
            "things": _mean(scores[:, present & self._isthing]),
            "stuff": _mean(scores[:, present & ~self._isthing]),
            "per_class": [
                {**_mean(scores[:, present & this]), "tp": tp, "fp": fp, "fn": fn}
                for this, (tp, fp, fn) in zip(each, counts, strict=True)
            ],
        }

    def _classes(self, segments: Sequence[Region]) -> NDArray[np.int64]:
        classes = classes_of(segments)
        if classes.size and not 0 <= classes.min() <= classes.max() < len(self._iou):
            raise ValueError(f"classes run from {classes.min()} to {classes.max()}, expected 0 to {len(self._iou) - 1}")
        return classes

    def _count(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(classes, minlength=len(self._iou))


def _mean(scores: NDArray[np.float64]) -> Quality:
    """Return the mean of PQ, SQ and RQ (3, classes)."""
    if scores.shape[1] == 0:
        return {"pq": None, "sq": None, "rq": None}
    pq, sq, rq = scores.mean(1).tolist()
    return {"pq": pq, "sq": sq, "rq": rq}
