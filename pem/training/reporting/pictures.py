"""Sample images of a run: the ground truth beside the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.training.validation.torch_segmenter import TorchSegmenter
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task, Thresholds
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.files import write_atomically
from pem_edge.runtime.outside.printable import printable
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.drawing import panels
from pem_edge.runtime.results.regions import Regions, of_truth
from pem_edge.runtime.results.segments import bounding_box

Picture = NDArray[np.uint8]
"""RGB uint8 (H, W, 3)."""

ScalarT = TypeVar("ScalarT", np.uint8, np.int32)

_SCORE = 0.5
"""Minimum class probability of a segment, lower than the default so that early predictions are shown, too."""

_LONGEST = 1024
"""Longer side in pixels to which larger images are scaled down before they are drawn."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A labeled image, and what a model makes of it.

    Attributes:
        name: The image's name, as can be printed.
        image: The image, RGB uint8 (H, W, 3).
        truth: Its true regions.
        predicted: Those that the model finds.
        classes: The classes.
    """

    name: str
    image: Picture
    truth: Regions
    predicted: Regions
    classes: Sequence[Label]

    def beside(self, *facts: str) -> Picture:
        """Return both drawn beside each other, with captions, colors explained, and ``facts`` behind the name above."""
        drawn = {
            "truth": self._draw(self.truth, scores=False),
            "prediction": self._draw(self.predicted),
        }
        regions = [*self.truth.segments, *self.predicted.segments]
        return panels.beside(drawn, panels.heading(self.name, *facts), drawing.entries(regions, self.classes))

    def small(self, longest: int) -> dict[str, Picture]:
        """Return both, by "truth" and "prediction", without names, their longer side at most ``longest`` pixels."""
        both = {"truth": self.truth, "prediction": self.predicted}
        return {name: _shrunk(self._draw(each, names=False), cv2.INTER_AREA, longest) for name, each in both.items()}

    def _draw(self, regions: Regions, *, names: bool = True, scores: bool = True) -> Picture:
        ids, segments = regions.ids, regions.segments
        return drawing.draw(self.image, ids, segments, self.classes, names=names, scores=scores, legend=False)


def compare(
    model: MaskClassifier, sample: Sample, classes: Sequence[Label], size: tuple[int, int], *facts: str
) -> Picture:
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
    return compared(model, sample, classes, size).beside(*facts)


def compared(
    model: MaskClassifier, sample: Sample, classes: Sequence[Label], size: tuple[int, int], task: Task = "panoptic"
) -> Comparison:
    """Return a sample and what the model makes of it; the arguments are those of `compare`, and what it learns."""
    thresholds = Thresholds(score=_SCORE)
    result = TorchSegmenter(model, classes, size, task, thresholds)(sample.image)
    return Comparison(
        name=printable(Path(sample.name).name),
        image=_shrunk(sample.image, cv2.INTER_AREA),
        truth=_shrink(of_truth(sample.panoptic, sample.segments, classes)),
        predicted=_shrink(result.regions()),
        classes=classes,
    )


def stack(pictures: Sequence[Picture]) -> Picture:
    """Return the pictures below each other; those that are narrower end in black."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate([np.pad(each, ((0, 0), (0, width - each.shape[1]), (0, 0))) for each in pictures])


def save(image: Picture, path: Path) -> None:
    """Write ``image``, RGB, in the format of the path's suffix, PNG or JPEG. Raises OutputError."""
    with write_atomically(path) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())


def _shrunk(image: NDArray[ScalarT], interpolation: int, longest: int = _LONGEST) -> NDArray[ScalarT]:
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), image.dtype)


def _shrink(regions: Regions) -> Regions:
    """Return the regions as the shrunk image has them; those that are too small for a pixel are left out."""
    ids = _shrunk(regions.ids, cv2.INTER_NEAREST)
    if ids is regions.ids:
        return regions
    masks = ((segment, ids == segment.id) for segment in regions.segments)
    segments = [
        replace(segment, area=int(mask.sum()), bbox=bounding_box(mask)) for segment, mask in masks if mask.any()
    ]
    return Regions(ids, segments)
