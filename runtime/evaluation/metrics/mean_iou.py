"""Mean intersection over union of semantic maps."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray


class MeanIoUScores(TypedDict):
    """Scores in percent, 0 to 100.

    A class that occurs in neither truth nor prediction has None and is left out of the mean. The mean of no class is
    None.
    """

    miou: float | None
    per_class: list[float | None]


class MeanIoU:
    """Mean intersection over union (mIoU), accumulated over all pixels of all images.

    Pixels whose truth is ``ignore_value`` are not scored.

    Example:
        >>> import numpy as np
        >>> from pem_edge.runtime import metrics
        >>> mean = metrics.MeanIoU(num_classes=2)
        >>> mean.update(np.array([[0, 1]]), np.array([[0, 0]]))
        >>> mean.compute()["miou"]
        25.0

    Args:
        num_classes: The number of classes, K.
        ignore_value: The value of unlabeled pixels, which must not be a class index.

    Raises:
        ValueError: If ``ignore_value`` is a class index.
    """

    def __init__(self, *, num_classes: int, ignore_value: int = 255) -> None:
        if 0 <= ignore_value < num_classes:
            raise ValueError(f"ignore_value {ignore_value} is one of the {num_classes} classes")
        self._num_classes = num_classes
        self._ignore_value = ignore_value
        self._intersection, self._predicted, self._true = np.zeros((3, num_classes), np.int64)

    def update(self, pred: NDArray[np.integer], true: NDArray[np.integer]) -> None:
        """Add an image.

        Args:
            pred: The predicted class indices (H, W), 0 to K-1; ``ignore_value`` counts as no class, and so as wrong.
            true: The true class indices (H, W), 0 to K-1, or ``ignore_value``.

        Raises:
            ValueError: If the shapes differ or a map has another value.
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
        """Add the images that were added to ``other``, which must have the same classes."""
        self._intersection += other._intersection
        self._predicted += other._predicted
        self._true += other._true

    def compute(self) -> MeanIoUScores:
        """Return the scores over all images added so far."""
        union = self._predicted + self._true - self._intersection
        present = union > 0
        iou = 100 * self._intersection / np.maximum(union, 1)
        return {
            "miou": float(iou[present].mean()) if present.any() else None,
            "per_class": [float(value) if counts else None for value, counts in zip(iou, present, strict=True)],
        }

    def _count(self, classes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the number of pixels of each class (K,). Raises ValueError if an index is out of range."""
        if classes.size and not 0 <= classes.min() <= classes.max() < self._num_classes:
            raise ValueError(
                f"classes run from {classes.min()} to {classes.max()}, expected 0 to {self._num_classes - 1}"
            )
        return np.bincount(classes, minlength=self._num_classes)
