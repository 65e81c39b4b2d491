"""A pipeline on the host, where only the model may run elsewhere than on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import postprocess, preprocess
from pem_edge.runtime.inference.backend import Model
from pem_edge.runtime.inference.batches import stacked
from pem_edge.runtime.inference.pipeline import Merged, Outputs, timed


@dataclass(frozen=True, eq=False)
class FittedImage:
    """An image at the size of the model's input, uint8 (H, W, 3)."""

    image: NDArray[np.uint8]
    geometry: Geometry
    milliseconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Inferred:
    """The model's outputs for one image, before the merge."""

    outputs: Outputs
    geometry: Geometry
    milliseconds: dict[str, float]


class HostPipeline:
    """A `Pipeline` that fits images and merges outputs with the host's CPU."""

    def __init__(self, model: Model) -> None:
        self._model, self._things = model, labels.things(model.artifact.manifest.classes)
        self._spec = model.artifact.manifest.input

    def prepare(self, image: NDArray[np.uint8]) -> FittedImage:
        """See `Pipeline`."""
        milliseconds: dict[str, float] = {}
        with timed(milliseconds, "preprocess"):
            fitted, geometry = preprocess.prepare(image, self._spec)
        return FittedImage(fitted, geometry, milliseconds)

    def infer(self, batch: Sequence[FittedImage]) -> list[Inferred]:
        """See `Pipeline`."""
        inference: dict[str, float] = {}
        with timed(inference, "inference", len(batch)):
            logits, masks = self._model(stacked([fitted.image for fitted in batch], self._spec))
        return [
            Inferred((logits[index], masks[index]), fitted.geometry, fitted.milliseconds | inference)
            for index, fitted in enumerate(batch)
        ]

    def merge(self, inferred: Sequence[Inferred], thresholds: Thresholds) -> list[Merged]:
        """See `Pipeline`."""
        return [self._merge(each, thresholds) for each in inferred]

    def _merge(self, inferred: Inferred, thresholds: Thresholds) -> Merged:
        with timed(milliseconds := dict(inferred.milliseconds), "postprocess"):
            try:
                panoptic, segments = postprocess.merge(*inferred.outputs, inferred.geometry, self._things, thresholds)
            except ValueError as error:
                raise BackendError(f"{self._model.artifact.model} makes no sense of the image: {error}") from error
        return Merged(panoptic, segments, inferred.geometry, lambda: inferred.outputs, milliseconds)
