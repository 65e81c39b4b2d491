"""The protocol of a pipeline: three stages from images to panoptic maps, which may overlap for neighboring images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.results.segments import Segment

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Class logits (Q, K+1) and mask logits (Q, h, w) of one image."""


@dataclass(frozen=True, eq=False)
class Merged:
    """The result of one image.

    Attributes:
        panoptic: The panoptic map, int32 (H, W).
        segments: The map's segments, whose labels are still empty.
        geometry: The sizes of the image on its way through the model.
        outputs: Returns the model's outputs that the map was merged from.
        milliseconds: The time of each stage, in the order they ran; of a batch, each image's equal share.
    """

    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    geometry: Geometry
    outputs: Callable[[], Outputs]
    milliseconds: dict[str, float]


class Prepared(Protocol):
    """An image that is ready for the model."""

    @property
    def geometry(self) -> Geometry:
        """The image's sizes; images whose padded sizes are equal fit into one batch."""


P = TypeVar("P", bound=Prepared)
I = TypeVar("I")  # noqa: E741


class Pipeline(Protocol[P, I]):
    """The stages of a backend, each of which takes what the one before it returned.

    Threads may call at once, also different stages at once. All stages raise BackendError.
    """

    def prepare(self, image: NDArray[np.uint8]) -> P:
        """Fit ``image``, RGB uint8 (H, W, 3), to the model's input."""

    def infer(self, batch: Sequence[P]) -> I:
        """Run the model on images of one padded size, at least one and at most as many as the model takes."""

    def merge(self, inferred: I, thresholds: Thresholds) -> list[Merged]:
        """Make the panoptic map of each image of the batch, at the image's size."""


AnyPipeline: TypeAlias = Pipeline[Any, Any]  # what its stages hand on concerns a pipeline alone


@contextmanager
def timed(milliseconds: dict[str, float], stage: str, images: int = 1) -> Iterator[None]:
    """Note the time that the block takes as that of ``stage``, divided by the number of ``images``."""
    start = time.perf_counter()
    yield
    milliseconds[stage] = 1000 * (time.perf_counter() - start) / images
