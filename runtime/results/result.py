"""The result of segmenting one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.results import coco_format, drawing, png
from pem_edge.runtime.results.segments import Instance, Segment
from pem_edge.runtime.sources.names import usable

Logits = NDArray[np.floating]


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """The segmentation of one image, at the image's size. It can be pickled, with the model's outputs.

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
        compute_semantic: Returns the value of `semantic` from the outputs and the geometry.
        compute_instances: Returns the value of `instances` from the outputs, the geometry and the labels.
        name: The path of the image, or its number in a video; empty if it came from an array.
        time: When the image is to be shown, in seconds since any moment of its video or stream; None for others.
    """

    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    milliseconds: Mapping[str, float]
    labels: Sequence[Label]
    geometry: Geometry
    outputs: Callable[[], tuple[Logits, Logits]]
    compute_semantic: Callable[[Logits, Logits, Geometry], NDArray[np.int32]]
    compute_instances: Callable[[Logits, Logits, Geometry, Sequence[Label]], list[Instance]]
    name: str = ""
    time: float | None = None

    @cached_property
    def semantic(self) -> NDArray[np.int32]:
        """The class index of every pixel, int32 (H, W), 0 to K-1. It is computed on first access."""
        return self.compute_semantic(*self.outputs(), self.geometry)

    @cached_property
    def instances(self) -> list[Instance]:
        """The masks of objects with their scores, highest score first. Masks may overlap; computed on first access."""
        return self.compute_instances(*self.outputs(), self.geometry, self.labels)

    def draw(self) -> NDArray[np.uint8]:
        """Return a drawing of the segments over the image with names and a legend, RGB uint8 (H, W, 3)."""
        return drawing.draw(self.image, self.panoptic, self.segments, self.labels)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Save the drawing and the panoptic map, in COCO's format, as PNG files, and return their paths.

        They are named after the image, such as ``street_overlay.png`` and ``street_panoptic.png``; after "image" if it
        has no name.

        Args:
            folder: The folder, which is created if it is missing.
            overwrite: Whether to replace existing files.

        Raises:
            OutputError: If a file exists and must not be replaced, or cannot be written.
        """
        stem = usable(Path(self.name).stem) or "image"
        paths = [Path(folder) / f"{stem}_{kind}.png" for kind in ("overlay", "panoptic")]
        for path in paths if not overwrite else []:
            files.refuse_existing(path)
        for path, image in zip(paths, (self.draw(), coco_format.encode(self.panoptic)), strict=True):
            png.write(path, image)
        return paths

    def __getstate__(self) -> dict[str, object]:
        """Return what is pickled: all attributes, and instead of the function ``outputs`` what it returns."""
        return vars(self) | {"outputs": _Kept(*self.outputs())}


@dataclass(frozen=True, eq=False)
class _Kept:
    """A function that returns the two arrays, and that can be pickled."""

    logits: Logits
    masks: Logits

    def __call__(self) -> tuple[Logits, Logits]:
        return self.logits, self.masks
