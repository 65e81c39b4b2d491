"""Mean intersection over union of semantic maps."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray


class MeanIoUScores(TypedDict):
    """Percentages 0 to 100. None is that of a class in neither truth nor prediction, and the mean of no class."""

    miou: float | None
    per_class: list[float | None]


class MeanIoU:
    """Intersection over union of every class over all pixels of all images, and its mean.

    Pixels whose truth is ``ignore_value`` are left out of everything, classes that are in neither truth nor prediction
    out of the mean.
    """

    def __init__(self, *, num_classes: int, ignore_value: int = 255) -> None:
        if 0 <= ignore_value < num_classes:
            raise ValueError(f"ignore_value {ignore_value} is one of the {num_classes} classes")
        self._num_classes = num_classes
        self._ignore_value = ignore_value
        self._intersection, self._predicted, self._true = np.zeros((3, num_classes), np.int64)

    def update(self, pred: NDArray[np.integer], true: NDArray[np.integer]) -> None:
        """Add an image: class indices (H, W), 0 to K-1, or ``ignore_value``, which in ``pred`` is no class.

        Raises ValueError for maps of different shapes or with other values.
        """
        if pred.shape != true.shape:
            raise ValueError(f"the prediction is {pred.shape}, the truth {true.shape}: expected the same shape")
        labeled = true != self._ignore_value
        pred, true = pred[labeled], true[labeled]
        predicted_count, true_count = self._count(pred[pred != self._ignore_value]), self._count(true)
        self._predicted += predicted_count
        self._true += true_count
        self._intersection += self._count(true[pred == true])

    def merge(self, other: MeanIoU) -> None:
        """Add the images that ``other`` has seen."""
        self._intersection += other._intersection
        self._predicted += other._predicted
        self._true += other._true

    def compute(self) -> MeanIoUScores:
        """Return the scores of all images so far."""
        union = self._predicted + self._true - self._intersection
        present = union > 0
        iou = 100 * self._intersection / np.maximum(union, 1)
        return {
            "miou": float(iou[present].mean()) if present.any() else None,
            "per_class": [float(value) if counts else None for value, counts in zip(iou, present, strict=True)],
        }

    def _count(self, classes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the pixels of each class (K,)."""
        if classes.size and not 0 <= classes.min() <= classes.max() < self._num_classes:
            raise ValueError(
                f"classes run from {classes.min()} to {classes.max()}, expected 0 to {self._num_classes - 1}"
            )
        return np.bincount(classes, minlength=self._num_classes)
