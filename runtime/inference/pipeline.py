"""The protocol of a pipeline: three stages that turn images into panoptic maps."""

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

ModelOutputs = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Class logits (Q, K+1) and mask logits (Q, h, w) of one image. A batch adds a leading axis (N) to both."""


@dataclass(frozen=True, eq=False)
class Merged:
    """The merged result of one image.

    Attributes:
        panoptic: The panoptic map, int32 (H, W).
        segments: The map's segments. Their ``label`` is empty.
        geometry: The sizes of the model's input, of the image within it, and of the map.
        outputs: A function that returns the model outputs from which the map was merged.
        milliseconds: The time of each stage, in the order in which the stages ran. The time of a stage that ran on a
            batch is divided by the number of images.
    """

    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    geometry: Geometry
    outputs: Callable[[], ModelOutputs]
    milliseconds: dict[str, float]


class Prepared(Protocol):
    """An image that is ready for the model."""

    @property
    def geometry(self) -> Geometry:
        """Sizes of the image. Images whose padded sizes are equal can share a batch."""


PreparedT = TypeVar("PreparedT", bound=Prepared)
InferredT = TypeVar("InferredT")


class Pipeline(Protocol[PreparedT, InferredT]):
    """The three stages of a backend. Each stage takes what the stage before it returned.

    Several threads may call the same stage or different stages at the same time. Every stage raises BackendError if it
    fails.
    """

    def prepare(self, image: NDArray[np.uint8]) -> PreparedT:
        """Fit ``image``, RGB uint8 (H, W, 3), to the model's input."""

    def infer(self, batch: Sequence[PreparedT], thresholds: Thresholds) -> InferredT:
        """Run the model on a batch of images, or start to.

        Args:
            batch: Images of one padded size, no more than the model's maximum batch size.
            thresholds: The thresholds of the merge.
        """

    def merge(self, inferred: InferredT) -> list[Merged]:
        """Merge the model's outputs for each image of the batch into a panoptic map of the image's size."""


AnyPipeline: TypeAlias = Pipeline[Any, Any]  # only the pipeline itself knows the types that its stages exchange


@contextmanager
def record_time(milliseconds: dict[str, float], stage: str, images: int = 1) -> Iterator[None]:
    """Record the time of the ``with`` block as ``milliseconds[stage]``, divided by the number of ``images``."""
    start = time.perf_counter()
    yield
    milliseconds[stage] = 1000 * (time.perf_counter() - start) / images
