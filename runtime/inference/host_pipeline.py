"""A pipeline that preprocesses and postprocesses with NumPy and OpenCV on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec, Thresholds
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import postprocess, preprocess
from pem_edge.runtime.inference.backend import Model
from pem_edge.runtime.inference.batches import stack
from pem_edge.runtime.inference.pipeline import Merged, ModelOutputs, record_time


@dataclass(frozen=True, eq=False)
class FittedImage:
    """An image fitted to the model's input.

    Attributes:
        image: RGB uint8 (H, W, 3), of the input's size.
        geometry: The sizes of the input, of the image within it, and of the original image.
        milliseconds: The time of each stage so far.
    """

    image: NDArray[np.uint8]
    geometry: Geometry
    milliseconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Inferred:
    """The model's outputs for one image, before they are merged.

    Attributes:
        outputs: Class logits (Q, K+1) and mask logits (Q, h, w).
        geometry: The sizes of the input, of the image within it, and of the original image.
        thresholds: The thresholds of the merge.
        milliseconds: The time of each stage so far.
    """

    outputs: ModelOutputs
    geometry: Geometry
    thresholds: Thresholds
    milliseconds: dict[str, float]


class HostPipeline:
    """A `Pipeline` whose first and last stages run on the CPU, for a model that may run on any device.

    Args:
        run: Runs the model on a batch, see `Model.__call__`.
        spec: The input that the model takes.
        classes: The model's classes.
        name: A name for the model in messages.
    """

    def __init__(
        self, run: Callable[[NDArray[np.uint8]], ModelOutputs], spec: InputSpec, classes: Sequence[Label], name: str
    ) -> None:
        self._run, self._spec, self._name = run, spec, name
        self._things = labels.things(classes)

    @classmethod
    def of(cls, model: Model) -> HostPipeline:
        """Return the pipeline of a loaded artifact."""
        manifest = model.artifact.manifest
        return cls(model, manifest.input, manifest.classes, str(model.artifact.model))

    def prepare(self, image: NDArray[np.uint8]) -> FittedImage:
        """See `Pipeline.prepare`."""
        milliseconds: dict[str, float] = {}
        with record_time(milliseconds, "preprocess"):
            fitted, geometry = preprocess.prepare(image, self._spec)
        return FittedImage(fitted, geometry, milliseconds)

    def infer(self, batch: Sequence[FittedImage], thresholds: Thresholds) -> list[Inferred]:
        """See `Pipeline.infer`."""
        inference: dict[str, float] = {}
        with record_time(inference, "inference", len(batch)):
            logits, masks = self._run(stack([fitted.image for fitted in batch], self._spec))
        return [
            Inferred((logits[index], masks[index]), fitted.geometry, thresholds, fitted.milliseconds | inference)
            for index, fitted in enumerate(batch)
        ]

    def merge(self, inferred: Sequence[Inferred]) -> list[Merged]:
        """See `Pipeline.merge`."""
        return [self._merge(each) for each in inferred]

    def _merge(self, inferred: Inferred) -> Merged:
        with record_time(milliseconds := dict(inferred.milliseconds), "postprocess"):
            try:
                panoptic, segments = postprocess.merge(
                    *inferred.outputs, inferred.geometry, self._things, inferred.thresholds
                )
            except ValueError as error:
                raise BackendError(f"the outputs of {self._name} cannot be merged: {error}") from error
        return Merged(panoptic, segments, inferred.geometry, lambda: inferred.outputs, milliseconds)
