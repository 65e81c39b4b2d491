"""Pictures that show where a result is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.evaluation.metrics.matching import classes_of, match, positions
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Segment, named

_GAP = 8
_RIGHT, _OTHER_SEGMENT, _WRONG, _UNJUDGED = range(4)
_COLORS = np.array([(0, 0, 0), (255, 200, 0), (255, 0, 0), (0, 60, 160)], np.uint8)  # of these, RGB


def draw(sample: Sample, result: Result) -> NDArray[np.uint8]:
    """Return the image, its truth, the result and its errors side by side, RGB uint8 (H, 4 W + gaps, 3).

    Errors lie on the image in gray: red where the class is wrong or missing, yellow where it is right but the segment
    matches no true one, blue where void or a crowd makes either right.
    """
    panels = [sample.image, _truth(sample, result), result.draw(), _errors(sample, result)]
    gap = np.full((len(sample.image), _GAP, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])


def _truth(sample: Sample, result: Result) -> NDArray[np.uint8]:
    panoptic = positions(sample.panoptic, sample.segments).astype(np.int32)
    segments = named(list(_segments(sample, result, panoptic)), result.labels)
    return drawing.draw(sample.image, panoptic, segments, result.labels)


def _segments(sample: Sample, result: Result, panoptic: NDArray[np.int32]) -> Iterator[Segment]:
    """Yield the true segments that have pixels, by their place in the list, which ``panoptic`` (H, W) holds."""
    for place, segment in enumerate(sample.segments, 1):
        mask = (panoptic == place).view(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        if width:
            isthing = result.labels[segment.category_id].isthing
            area = cv2.countNonZero(mask)
            yield Segment(place, segment.category_id, "", isthing, 1.0, area, (x, y, width, height))


def _errors(sample: Sample, result: Result) -> NDArray[np.uint8]:
    matched = match(result.panoptic, result.segments, sample.panoptic, sample.segments).matched
    kinds = np.full((matched.shape[0] + 1, matched.shape[1] + 1), _WRONG)
    kinds[1:, 1:][classes_of(sample.segments)[:, None] == classes_of(result.segments)] = _OTHER_SEGMENT
    kinds[1:, 1:][matched] = _RIGHT
    kinds[[True, *(segment.iscrowd for segment in sample.segments)]] = _UNJUDGED
    true, pred = positions(sample.panoptic, sample.segments), positions(result.panoptic, result.segments)
    gray = cv2.cvtColor(cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(gray, 0.4, _COLORS[kinds[true, pred]], 0.6, 0), np.uint8)
