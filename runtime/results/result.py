"""The result of segmenting one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.segments import Instance, Segment


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """The segmentation of one image, at the image's size.

    Attributes:
        image: The image, RGB uint8 (H, W, 3).
        panoptic: The segment id of every pixel, int32 (H, W); 0 is void.
        segments: The segments of the panoptic map.
        milliseconds: The time of each stage: "preprocess", "inference", "postprocess", and "decode" if the image came
            from a file.
        labels: The model's classes, in the order of their indices.
        geometry: The sizes of the model's input, of the image within it, and of the result.
        outputs: Returns the model's outputs for this image: class logits (Q, K+1), of which the last column is "no
            object", and mask logits (Q, h, w).
        compute_semantic: Returns the value of `semantic`, which is computed on first access.
        compute_instances: Returns the value of `instances`, which is computed on first access.
        name: The path of the image, or its number in a video; empty if it came from an array.
    """

    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    milliseconds: Mapping[str, float]
    labels: Sequence[Label]
    geometry: Geometry
    outputs: Callable[[], tuple[NDArray[np.floating], NDArray[np.floating]]]
    compute_semantic: Callable[[], NDArray[np.int32]]
    compute_instances: Callable[[], list[Instance]]
    name: str = ""

    @cached_property
    def semantic(self) -> NDArray[np.int32]:
        """The class index of every pixel, int32 (H, W), 0 to K-1. It is computed on first access."""
        return self.compute_semantic()

    @cached_property
    def instances(self) -> list[Instance]:
        """The masks of objects with their scores, highest score first. Masks may overlap; computed on first access."""
        return self.compute_instances()

    def draw(self) -> NDArray[np.uint8]:
        """Return a drawing of the segments over the image with names and a legend, RGB uint8 (H, W, 3)."""
        return drawing.draw(self.image, self.panoptic, self.segments, self.labels)
