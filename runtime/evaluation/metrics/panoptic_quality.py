"""Panoptic quality (Kirillov et al., 2019, https://arxiv.org/abs/1801.00868), as COCO's panoptic API computes it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import TrueSegment
from pem_edge.runtime.evaluation.metrics.matching import Matching, Region, classes_of, match


class Quality(TypedDict):
    """Panoptic quality, segmentation quality and recognition quality in percent, 0 to 100.

    They are None if no class occurs in truth or prediction.
    """

    pq: float | None
    sq: float | None
    rq: float | None


class ClassQuality(Quality):
    """The quality of one class, and its numbers of true positives, false positives and false negatives."""

    tp: int
    fp: int
    fn: int


class PanopticScores(TypedDict):
    """The quality of every class, and the means over all, thing and stuff classes that occur in truth or prediction."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: list[ClassQuality]


class PanopticQuality:
    """Panoptic quality (PQ), segmentation quality (SQ) and recognition quality (RQ), accumulated over images.

    A predicted and a true segment of one class match if their intersection over union, outside the truth's void, is
    above 0.5. Crowds match nothing, and a prediction that lies by more than half on void or on a crowd of its class is
    not counted as a false positive. If an image has several crowds of a class, the last one is used, as in COCO's API.

    Example:
        >>> import pem_edge
        >>> from pem_edge.runtime import labels, metrics
        >>> from pem_edge.runtime.datasets.toy_streets import ToyStreets
        >>> segmenter, dataset = pem_edge.load("demo"), ToyStreets(2)
        >>> quality = metrics.PanopticQuality(things=labels.things(dataset.labels), num_classes=len(dataset.labels))
        >>> for sample in dataset:
        ...     result = segmenter(sample.image)
        ...     matching = quality.update(result.panoptic, result.segments, sample.panoptic, sample.segments)
        >>> quality.compute()["all"]["pq"] > 20
        True

    Args:
        things: The indices of the thing classes.
        num_classes: The number of classes, K.

    Raises:
        ValueError: If an index in ``things`` is not 0 to K-1.
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
        """Add an image.

        Args:
            pred: The predicted map of segment ids, (H, W); 0 is void.
            pred_segments: The segments of ``pred``.
            true: The true map of segment ids, (H, W); 0 is void.
            true_segments: The segments of ``true``, which may have no pixels.

        Returns:
            The matches of true and predicted segments.

        Raises:
            ValueError: If the shapes differ, a segment id is missing or given twice, a class index is out of range, or
                a predicted segment has no pixels.
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
        """Add the images that were added to ``other``, which must have the same classes."""
        self._tp += other._tp
        self._fp += other._fp
        self._fn += other._fn
        self._iou += other._iou

    def compute(self) -> PanopticScores:
        """Return the scores over all images added so far."""
        total = self._tp + 0.5 * (self._fp + self._fn)
        present, single_classes = total > 0, np.eye(len(total), dtype=bool)
        sq, rq = self._iou / np.maximum(self._tp, 1), self._tp / np.maximum(total, 0.5)
        scores = 100 * np.stack([sq * rq, sq, rq])
        counts = np.stack([self._tp, self._fp, self._fn], 1).tolist()
        return {
            "all": _mean(scores[:, present]),
            "things": _mean(scores[:, present & self._isthing]),
            "stuff": _mean(scores[:, present & ~self._isthing]),
            "per_class": [
                {**_mean(scores[:, present & single_class]), "tp": tp, "fp": fp, "fn": fn}
                for single_class, (tp, fp, fn) in zip(single_classes, counts, strict=True)
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
    """Return the means of PQ, SQ and RQ, the rows of ``scores``, over the classes, its columns."""
    if scores.shape[1] == 0:
        return {"pq": None, "sq": None, "rq": None}
    pq, sq, rq = scores.mean(1).tolist()
    return {"pq": pq, "sq": sq, "rq": rq}
