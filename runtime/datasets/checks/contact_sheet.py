"""A picture of some samples of a dataset with their truth, in which wrong labels are seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import Dataset, Sample
from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.drawing import panels
from pem_edge.runtime.results.regions import of_truth
from pem_edge.runtime.results.segments import Segment

MOST = 24
"""Most samples on a sheet."""
_CELL, _COLUMNS = (360, 480), 4
"""Height and width in pixels into which a picture is fitted, and pictures in a row."""
_LETTERS = 16


def draw(dataset: Dataset, indices: Sequence[int]) -> NDArray[np.uint8]:
    """Return a sheet of samples with their truth drawn over, their names, and a legend of their classes, RGB uint8.

    Args:
        dataset: The dataset.
        indices: The indices of the samples, at least one, which are read one at a time.

    Raises:
        InputError: If one of them cannot be read.
    """
    pictures, segments = [], list[Segment]()
    for index in indices:
        sample = _fit(dataset[index])
        truth = of_truth(sample.panoptic, sample.segments, dataset.labels).segments
        picture = drawing.draw(sample.image, sample.panoptic, truth, dataset.labels, scores=False, legend=False)
        pictures.append((panels.heading(printable(PurePath(sample.name).name)), picture))
        segments += truth
    return panels.sheet(pictures, _COLUMNS, drawing.entries(segments, dataset.labels), _LETTERS)


def _fit(sample: Sample) -> Sample:
    """Return a sample as large as fits into `_CELL`."""
    height, width = sample.panoptic.shape
    scale = min(_CELL[0] / height, _CELL[1] / width)
    size = max(1, round(scale * height)), max(1, round(scale * width))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(sample.image, size[::-1], interpolation=method).astype(np.uint8, copy=False)
    panoptic = cv2.resize(sample.panoptic, size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.int32, copy=False)
    return replace(sample, image=image, panoptic=panoptic)
