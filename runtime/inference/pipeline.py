"""From an image to a panoptic map in three stages, which may overlap for neighbouring images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import InputSpec, Thresholds
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import postprocess, preprocess
from pem_edge.runtime.results.segments import Segment

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Class logits (Q, K+1) and mask logits (Q, h, w) of one image."""


@dataclass(frozen=True, eq=False)
class Merged:
    """One image's panoptic map, int32 (H, W), and its segments, their labels still empty.

    ``outputs`` gives what they were merged from, ``milliseconds`` the time of each stage, in the order they ran.
    """

    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    geometry: Geometry
    outputs: Callable[[], Outputs]
    milliseconds: dict[str, float]


class Pipeline(Protocol):
    """The stages of a backend, each taking what the one before it returned.

    Threads may call at once, also different stages at once. Raises BackendError.
    """

    def prepare(self, image: NDArray[np.uint8]) -> Any:
        """Fit ``image``, RGB uint8 (H, W, 3), to the model's input."""

    def infer(self, prepared: Any) -> Any:
        """Run the model."""

    def merge(self, inferred: Any, thresholds: Thresholds) -> Merged:
        """Make a panoptic map of the model's outputs, at the image's size."""


class Model(Protocol):
    """A loaded model, as far as a pipeline on the host needs it."""

    @property
    def artifact(self) -> Artifact:
        """The artifact that was loaded."""

    def __call__(self, images: NDArray[np.uint8], /) -> Outputs:
        """Run a batch, uint8 (N, H, W, 3) RGB.

        Returns:
            Class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

        Raises:
            BackendError: If the model cannot be run.
        """


class Backend(Model, Protocol):
    """A loaded model that offers a pipeline: what a segmenter needs."""

    @property
    def name(self) -> str:
        """The backend's name, such as "onnxruntime"."""

    def pipeline(self) -> Pipeline:
        """Return the stages from an image to its panoptic map."""

    def settings(self) -> dict[str, str | int | bool]:
        """Return the settings that are in force, by name, for reports."""

    def close(self) -> None:
        """Free the model; later calls raise BackendError."""


@dataclass(frozen=True, eq=False)
class _Prepared:
    batch: NDArray[np.uint8]
    geometry: Geometry
    milliseconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Inferred:
    """What a model made of an image, before the merge."""

    outputs: Outputs
    geometry: Geometry
    milliseconds: dict[str, float]


class HostPipeline:
    """A `Pipeline` in which only the model may run elsewhere than on the CPU."""

    def __init__(self, model: Model) -> None:
        self._model, self._things = model, labels.things(model.artifact.manifest.classes)
        self._spec = model.artifact.manifest.input

    def prepare(self, image: NDArray[np.uint8]) -> _Prepared:
        milliseconds: dict[str, float] = {}
        with timed(milliseconds, "preprocess"):
            fitted, geometry = preprocess.prepare(image, self._spec)
            batch = np.broadcast_to(fitted, (smallest_batch(self._spec), *fitted.shape))
        return _Prepared(batch, geometry, milliseconds)

    def infer(self, prepared: _Prepared) -> Inferred:
        with timed(milliseconds := dict(prepared.milliseconds), "inference"):
            logits, masks = self._model(prepared.batch)
        return Inferred((logits[0], masks[0]), prepared.geometry, milliseconds)

    def merge(self, inferred: Inferred, thresholds: Thresholds) -> Merged:
        with timed(milliseconds := dict(inferred.milliseconds), "postprocess"):
            try:
                panoptic, segments = postprocess.merge(*inferred.outputs, inferred.geometry, self._things, thresholds)
            except ValueError as error:
                raise BackendError(f"{self._model.artifact.model} makes no sense of the image: {error}") from error
        return Merged(panoptic, segments, inferred.geometry, lambda: inferred.outputs, milliseconds)


def smallest_batch(spec: InputSpec) -> int:
    """The fewest images that a model takes at once; of a repeated image the first result counts."""
    return spec.dynamic_batch.least if spec.dynamic_batch else spec.batch


@contextmanager
def timed(milliseconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note the time that the block takes as that of ``stage``."""
    start = time.perf_counter()
    yield
    milliseconds[stage] = 1000 * (time.perf_counter() - start)
