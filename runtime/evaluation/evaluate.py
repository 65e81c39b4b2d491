"""Scoring a segmenter on labeled images."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.dataset import Dataset, Sample
from pem_edge.runtime.evaluation.metrics import MeanIoU, MeanIoUScores, PanopticQuality, PanopticScores
from pem_edge.runtime.evaluation.metrics.matching import Region, classes_of, segment_numbers
from pem_edge.runtime.results.result import Result

VOID = -1
"""Class index of pixels without a class."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of a segmenter on a dataset.

    Attributes:
        images: The number of images.
        quality: The panoptic quality over all images, or of no image if it was not computed.
        panoptic: Whether it was computed.
        iou: The mean IoU over all images, or None if it was not computed.
        image_quality: The PQ of each image in percent, or its mean IoU if there is no PQ, by the image's index. Images
            without segments have none.
        milliseconds: The median time of each stage.
    """

    images: int
    quality: PanopticScores
    panoptic: bool
    iou: MeanIoUScores | None
    image_quality: Mapping[int, float]
    milliseconds: Mapping[str, float]

    def worst(self, count: int) -> list[int]:
        """Return the indices of the ``count`` images with the lowest quality, worst first."""
        return sorted(self.image_quality, key=lambda index: self.image_quality[index])[:count]


def evaluate(
    segmenter: Callable[[NDArray[np.uint8]], Result],
    dataset: Dataset,
    indices: Iterable[int] | None = None,
    *,
    semantic: bool = True,
    panoptic: bool = True,
) -> Evaluation:
    """Segment the images of a dataset and score the results.

    Args:
        segmenter: A segmenter, or whatever else returns the result of an image, RGB uint8 (H, W, 3).
        dataset: The images, labeled with the model's classes in the model's order.
        indices: The indices of the images to score; None for all.
        semantic: Whether to compute the mean IoU, which takes additional time.
        panoptic: Whether to compute the panoptic quality.

    Raises:
        InputError: If an image or its map cannot be read.
        BackendError: If the model cannot be run.
    """
    scores = _Scores(dataset.labels, semantic, panoptic)
    for index in range(len(dataset)) if indices is None else indices:
        sample = dataset[index]
        scores.add(index, sample, segmenter(sample.image))
    return scores.evaluation()


def semantic_truth(sample: Sample) -> NDArray[np.int32]:
    """Return the class index of every pixel, int32 (H, W); pixels without a class are `VOID`."""
    return class_map(sample.panoptic, sample.segments)


def class_map(panoptic: NDArray[np.integer], segments: Sequence[Region]) -> NDArray[np.int32]:
    """Return the class index of every pixel of a map of segment ids, int32 (H, W); `VOID` outside the segments."""
    classes = np.array([VOID, *classes_of(segments)], np.int32)
    return classes[segment_numbers(panoptic, segments)]


class _Scores:
    """Collects the scores and times of images."""

    def __init__(self, classes: Sequence[labels.Label], semantic: bool, panoptic: bool) -> None:
        self._things, self._num_classes = labels.things(classes), len(classes)
        self._quality, self._panoptic = self._new_quality(), panoptic
        self._iou = self._new_iou() if semantic else None
        self._image_quality: dict[int, float] = {}
        self._times: list[Mapping[str, float]] = []

    def add(self, index: int, sample: Sample, result: Result) -> None:
        iou = self._add_iou(sample, result)
        image_quality = self._add_quality(sample, result) if self._panoptic else iou
        if image_quality is not None:
            self._image_quality[index] = image_quality
        self._times.append(result.milliseconds)

    def evaluation(self) -> Evaluation:
        stages = self._times[0] if self._times else {}
        return Evaluation(
            images=len(self._times),
            quality=self._quality.compute(),
            panoptic=self._panoptic,
            iou=None if self._iou is None else self._iou.compute(),
            image_quality=self._image_quality,
            milliseconds={stage: statistics.median(times[stage] for times in self._times) for stage in stages},
        )

    def _add_quality(self, sample: Sample, result: Result) -> float | None:
        """Add an image to the panoptic quality, and return the image's own PQ."""
        own = self._new_quality()
        own.update(result.panoptic, result.segments, sample.panoptic, sample.segments)
        self._quality.merge(own)
        return own.compute()["all"]["pq"]

    def _add_iou(self, sample: Sample, result: Result) -> float | None:
        """Add an image to the mean IoU, if that is computed, and return the image's own."""
        if self._iou is None:
            return None
        own = self._new_iou()
        own.update(result.semantic, semantic_truth(sample))
        self._iou.merge(own)
        return own.compute()["miou"]

    def _new_iou(self) -> MeanIoU:
        return MeanIoU(num_classes=self._num_classes, ignore_value=VOID)

    def _new_quality(self) -> PanopticQuality:
        return PanopticQuality(things=self._things, num_classes=self._num_classes)
