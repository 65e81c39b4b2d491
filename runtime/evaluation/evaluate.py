"""How well a segmenter does on labeled images."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.dataset import Dataset, Sample
from pem_edge.runtime.evaluation.metrics import MeanIoU, MeanIoUScores, PanopticQuality, PanopticScores
from pem_edge.runtime.evaluation.metrics.matching import classes_of, positions
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.results.result import Result

VOID = -1
"""The class of a pixel that has none."""


@dataclass(frozen=True)
class Evaluation:
    """Scores over all images, None for what was not asked for; PQ of each image by its number, for those that have one.

    ``milliseconds`` is the median time of each stage.
    """

    images: int
    quality: PanopticScores
    iou: MeanIoUScores | None
    image_quality: Mapping[int, float]
    milliseconds: Mapping[str, float]

    def worst(self, count: int) -> list[int]:
        """Return the numbers of the ``count`` images of lowest PQ, the lowest first."""
        return sorted(self.image_quality, key=lambda index: self.image_quality[index])[:count]


def evaluate(
    segmenter: Segmenter, dataset: Dataset, indices: Iterable[int] | None = None, *, semantic: bool = True
) -> Evaluation:
    """Segment the images of ``dataset``, which has the model's classes, or those of ``indices``, and score the results.

    Without ``semantic``, mean IoU is left out, and the time its maps take. Raises InputError and BackendError.
    """
    scores = _Scores(segmenter.manifest.classes, semantic)
    for index in range(len(dataset)) if indices is None else indices:
        sample = dataset[index]
        scores.add(index, sample, segmenter(sample.image))
    return scores.evaluation()


def semantic_truth(sample: Sample) -> NDArray[np.int32]:
    """Return the class of every pixel, int32 (H, W), `VOID` where it has none."""
    classes = np.array([VOID, *classes_of(sample.segments)], np.int32)
    return classes[positions(sample.panoptic, sample.segments)]


class _Scores:
    def __init__(self, classes: Sequence[labels.Label], semantic: bool) -> None:
        self._things, self._num_classes = labels.things(classes), len(classes)
        self._quality = self._new_quality()
        self._iou = MeanIoU(num_classes=len(classes), ignore_value=VOID) if semantic else None
        self._image_quality: dict[int, float] = {}
        self._times: list[Mapping[str, float]] = []

    def add(self, index: int, sample: Sample, result: Result) -> None:
        alone = self._new_quality()
        alone.update(result.panoptic, result.segments, sample.panoptic, sample.segments)
        self._quality.merge(alone)
        quality = alone.compute()["all"]["pq"]
        if quality is not None:
            self._image_quality[index] = quality
        if self._iou is not None:
            self._iou.update(result.semantic, semantic_truth(sample))
        self._times.append(result.milliseconds)

    def evaluation(self) -> Evaluation:
        stages = self._times[0] if self._times else {}
        return Evaluation(
            images=len(self._times),
            quality=self._quality.compute(),
            iou=None if self._iou is None else self._iou.compute(),
            image_quality=self._image_quality,
            milliseconds={stage: statistics.median(times[stage] for times in self._times) for stage in stages},
        )

    def _new_quality(self) -> PanopticQuality:
        return PanopticQuality(things=self._things, num_classes=self._num_classes)
