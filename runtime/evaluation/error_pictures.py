"""Images that show the errors of a result."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.evaluation.metrics.matching import classes_of, match, segment_numbers
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Segment, add_labels

_GAP = 8
_CORRECT, _WRONG_SEGMENT, _WRONG_CLASS, _NOT_SCORED = range(4)
_COLORS = np.array([(0, 0, 0), (255, 200, 0), (255, 0, 0), (0, 60, 160)], np.uint8)
"""RGB color of each kind of pixel, by the number of the kind."""


def draw(sample: Sample, result: Result) -> NDArray[np.uint8]:
    """Return the image, its ground truth, the result and the errors side by side, RGB uint8 (H, 4 W + gaps, 3).

    Errors are drawn over the image in gray: red if the class is wrong or missing, yellow if the class is right but the
    segment matches no true segment, and blue if the pixel is not scored because its truth is void or a crowd.
    """
    panels = [sample.image, _draw_truth(sample, result), result.draw("panoptic"), _draw_errors(sample, result)]
    gap = np.full((len(sample.image), _GAP, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])


def _draw_truth(sample: Sample, result: Result) -> NDArray[np.uint8]:
    panoptic = segment_numbers(sample.panoptic, sample.segments).astype(np.int32)
    segments = add_labels(list(_true_segments(sample, result, panoptic)), result.labels)
    return drawing.draw(sample.image, panoptic, segments, result.labels)


def _true_segments(sample: Sample, result: Result, panoptic: NDArray[np.int32]) -> Iterator[Segment]:
    """Yield the true segments that have pixels. Their ids are their numbers from 1, as in ``panoptic`` (H, W)."""
    for number, segment in enumerate(sample.segments, 1):
        mask = (panoptic == number).view(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        if width:
            isthing = result.labels[segment.category_id].isthing
            area = cv2.countNonZero(mask)
            yield Segment(number, segment.category_id, "", isthing, 1.0, area, (x, y, width, height))


def _draw_errors(sample: Sample, result: Result) -> NDArray[np.uint8]:
    matched = match(result.panoptic, result.segments, sample.panoptic, sample.segments).matched
    kinds = np.full((matched.shape[0] + 1, matched.shape[1] + 1), _WRONG_CLASS)
    kinds[1:, 1:][classes_of(sample.segments)[:, None] == classes_of(result.segments)] = _WRONG_SEGMENT
    kinds[1:, 1:][matched] = _CORRECT
    kinds[[True, *(segment.iscrowd for segment in sample.segments)]] = _NOT_SCORED
    true, pred = segment_numbers(sample.panoptic, sample.segments), segment_numbers(result.panoptic, result.segments)
    gray = cv2.cvtColor(cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(gray, 0.4, _COLORS[kinds[true, pred]], 0.6, 0), np.uint8)
