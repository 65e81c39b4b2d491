"""Sample images of a run: the ground truth beside the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.pem.model import PEM
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.inference import postprocess, preprocess
from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.drawing import panels
from pem_edge.runtime.results.regions import of_truth
from pem_edge.runtime.results.segments import add_labels

_SCORE = 0.5
"""Minimum class probability of a segment, lower than the default so that early predictions are shown, too."""


@torch.no_grad()
def compare(
    model: PEM, sample: Sample, classes: Sequence[Label], size: tuple[int, int], *facts: str
) -> NDArray[np.uint8]:
    """Draw the ground truth of ``sample`` on the left and the prediction of ``model`` on the right, with captions.

    Args:
        model: The model.
        sample: A labeled image, (H, W).
        classes: The classes.
        size: Height and width of the model's input.
        facts: What to say of the model above the pictures, such as "step 7".

    Returns:
        The picture, RGB uint8.
    """
    image, geometry = preprocess.fit(sample.image, *size, model.pad_value)
    device = next(model.parameters()).device
    logits, masks = (output[0].float().cpu().numpy() for output in model(torch.tensor(image, device=device)[None]))
    things = labels.things(classes)
    panoptic, segments = postprocess.merge(logits, masks, geometry, things, Thresholds(score=_SCORE))
    predicted = add_labels(segments, classes)
    true = of_truth(sample.panoptic, sample.segments, classes).segments
    pictures = {
        "truth": drawing.draw(sample.image, sample.panoptic, true, classes, scores=False, legend=False),
        "prediction": drawing.draw(sample.image, panoptic, predicted, classes, legend=False),
    }
    heading = panels.heading(printable(Path(sample.name).name), *facts)
    return panels.beside(pictures, heading, drawing.entries([*true, *predicted], classes))


def save(image: NDArray[np.uint8], path: Path) -> None:
    """Write ``image``, RGB, as PNG. Raises OutputError."""
    with write_atomically(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
