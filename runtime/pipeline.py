"""From an image to a panoptic map in three stages, which may overlap for neighbouring images."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime import postprocess, preprocess
from runtime.errors import BackendError
from runtime.manifest import InputSpec, Thresholds
from runtime.postprocess import Geometry
from runtime.result import Segment

if TYPE_CHECKING:
    from runtime.backends.base import Backend

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

    def __init__(self, backend: Backend, things: Collection[int]) -> None:
        self._backend, self._things = backend, things
        self._spec = backend.artifact.manifest.input

    def prepare(self, image: NDArray[np.uint8]) -> _Prepared:
        milliseconds: dict[str, float] = {}
        with timed(milliseconds, "preprocess"):
            fitted, geometry = preprocess.prepare(image, self._spec)
            batch = np.broadcast_to(fitted, (smallest_batch(self._spec), *fitted.shape))
        return _Prepared(batch, geometry, milliseconds)

    def infer(self, prepared: _Prepared) -> Inferred:
        with timed(milliseconds := dict(prepared.milliseconds), "inference"):
            logits, masks = self._backend(prepared.batch)
        return Inferred((logits[0], masks[0]), prepared.geometry, milliseconds)

    def merge(self, inferred: Inferred, thresholds: Thresholds) -> Merged:
        with timed(milliseconds := dict(inferred.milliseconds), "postprocess"):
            try:
                panoptic, segments = postprocess.panoptic(
                    *inferred.outputs,
                    **vars(inferred.geometry),
                    things=self._things,
                    score_threshold=thresholds.score,
                    overlap_threshold=thresholds.overlap,
                )
            except ValueError as error:
                raise BackendError(f"{self._backend.artifact.model} makes no sense of the image: {error}") from error
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
