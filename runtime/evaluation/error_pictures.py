"""Images that show the errors of a result."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.evaluation.evaluate import VOID, semantic_truth
from pem_edge.runtime.evaluation.metrics.matching import classes_of, match, segment_numbers
from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.drawing import panels
from pem_edge.runtime.results.drawing.legend import Entry
from pem_edge.runtime.results.regions import of_truth
from pem_edge.runtime.results.result import Result

_CORRECT, _WRONG_SEGMENT, _WRONG_CLASS, _NOT_SCORED = range(4)
_COLORS = ((0, 0, 0), (255, 200, 0), (255, 0, 0), (0, 60, 160))
"""RGB color of each kind of pixel, by the number of the kind."""
_KEY = {
    _WRONG_CLASS: "wrong or missing class",
    _WRONG_SEGMENT: "right class, wrong segment",
    _NOT_SCORED: "not scored",
}


def draw(sample: Sample, result: Result, quality: float | None = None) -> NDArray[np.uint8]:
    """Return the image, its ground truth, the result and the errors side by side with captions, RGB uint8.

    Errors are drawn over the image in gray: red if the class is wrong or missing, yellow if the class is right but the
    segment matches no true segment, and blue if the pixel is not scored because its truth is void or a crowd. Those of
    a semantic result are those of its classes alone; other results are scored, and drawn, as panoptic ones.

    Args:
        sample: The image and its truth.
        result: The result.
        quality: The image's PQ in percent, or its mean IoU if the result is semantic; None if it is not known.
    """
    task: Task = "semantic" if result.task == "semantic" else "panoptic"
    kinds = _semantic_errors(sample, result) if task == "semantic" else _panoptic_errors(sample, result)
    truth = of_truth(sample.panoptic, sample.segments, result.labels)
    pictures = {
        "image": sample.image,
        "truth": drawing.draw(sample.image, truth.ids, truth.segments, result.labels, scores=False, legend=False),
        "prediction": result.draw(task, legend=False),
        "errors": _draw_errors(sample.image, kinds),
    }
    measure = "mean IoU" if task == "semantic" else "PQ"
    facts = [] if quality is None else [f"{measure} {quality:.1f}"]
    errors = [Entry(name, _COLORS[kind]) for kind, name in _KEY.items() if task == "panoptic" or kind != _WRONG_SEGMENT]
    classes = drawing.entries([*truth.segments, *result.regions(task).segments], result.labels)
    return panels.beside(pictures, panels.heading(printable(Path(sample.name).name), *facts), [*errors, *classes])


def _semantic_errors(sample: Sample, result: Result) -> NDArray[np.int64]:
    """Return the kind of each pixel, (H, W)."""
    truth = semantic_truth(sample)
    return np.select([truth == VOID, truth == result.semantic], [_NOT_SCORED, _CORRECT], _WRONG_CLASS)


def _panoptic_errors(sample: Sample, result: Result) -> NDArray[np.int64]:
    """Return the kind of each pixel, (H, W)."""
    matched = match(result.panoptic, result.segments, sample.panoptic, sample.segments).matched
    kinds = np.full((matched.shape[0] + 1, matched.shape[1] + 1), _WRONG_CLASS)
    kinds[1:, 1:][classes_of(sample.segments)[:, None] == classes_of(result.segments)] = _WRONG_SEGMENT
    kinds[1:, 1:][matched] = _CORRECT
    kinds[[True, *(segment.iscrowd for segment in sample.segments)]] = _NOT_SCORED
    true, pred = segment_numbers(sample.panoptic, sample.segments), segment_numbers(result.panoptic, result.segments)
    return kinds[true, pred]


def _draw_errors(image: NDArray[np.uint8], kinds: NDArray[np.int64]) -> NDArray[np.uint8]:
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(gray, 0.4, np.array(_COLORS, np.uint8)[kinds], 0.6, 0), np.uint8)
