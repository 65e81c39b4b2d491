"""The result of segmenting one image."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.arguments import require_path
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task, choose_task
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside.printable import storable
from pem_edge.runtime.results import coco_format, drawing, png, regions
from pem_edge.runtime.results.drawing.continuity import Continuity
from pem_edge.runtime.results.exchange import Exchange
from pem_edge.runtime.results.regions import Regions
from pem_edge.runtime.results.segments import Instance, Segment
from pem_edge.runtime.sources.names import usable

Logits = NDArray[np.floating]

_CLASSES_IN_A_BYTE = 256
_ENDINGS: Mapping[Task, tuple[str, ...]] = {
    "panoptic": ("panoptic.png", "panoptic.json"),
    "semantic": ("semantic.png",),
    "instance": ("instances.json",),
}
"""Ends of the names of a task's files."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result(Exchange):
    """The segmentation of one image, at the image's size. It can be pickled, with the model's outputs.

    Example:
        >>> import pem_edge
        >>> result = pem_edge.load("demo")("demo:street")
        >>> result.panoptic.shape, result.semantic.shape
        ((512, 1024), (512, 1024))
        >>> "car" in {segment.label for segment in result.segments if segment.isthing}
        True
        >>> paths = result.save("results")
        >>> document = result.to_json()

    Attributes:
        image: The image, RGB uint8 (H, W, 3).
        panoptic: The segment id of every pixel, int32 (H, W); 0 is void.
        segments: The segments of the panoptic map.
        milliseconds: The time of each stage: "preprocess", "inference", "postprocess", and "decode" if the image came
            from a file.
        labels: The model's classes, in the order of their indices.
        geometry: The sizes of the model's input, of the image within it, and of the result.
        task: What `draw` and `save` show: what the model was trained for, or what it was loaded for.
        score_threshold: The minimum score of the instances that they show.
        outputs: Returns the model's outputs for this image: class logits (Q, K+1), of which the last column is "no
            object", and mask logits (Q, h, w).
        compute_semantic: Returns the value of `semantic` from the outputs and the geometry.
        compute_instances: Returns the value of `instances` from the outputs, the geometry, the labels and a minimum
            score.
        name: The path of the image, or its number in a video; empty if it came from an array.
        time: When the image is to be shown, in seconds since any moment of its video or stream; None for others.
        continuity: What the frames of a video share, so that they are drawn alike; None for others. A pickled result
            has one that has seen no frame.
    """

    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: Sequence[Segment]
    milliseconds: Mapping[str, float]
    labels: Sequence[Label]
    geometry: Geometry
    task: Task = "panoptic"
    score_threshold: float = 0.5
    outputs: Callable[[], tuple[Logits, Logits]]
    compute_semantic: Callable[[Logits, Logits, Geometry], NDArray[np.int32]]
    compute_instances: Callable[[Logits, Logits, Geometry, Sequence[Label], float], list[Instance]]
    name: str = ""
    time: float | None = None
    continuity: Continuity | None = None

    @cached_property
    def semantic(self) -> NDArray[np.int32]:
        """The class index of every pixel, int32 (H, W), 0 to K-1. It is computed on first access."""
        return self.compute_semantic(*self.outputs(), self.geometry)

    @cached_property
    def instances(self) -> list[Instance]:
        """The masks of objects with their scores, highest score first. Masks may overlap; computed on first access."""
        return self.compute_instances(*self.outputs(), self.geometry, self.labels, 0.0)

    @cached_property
    def confident_instances(self) -> list[Instance]:
        """The instances whose score is at least `score_threshold`; computed on first access, and without the others."""
        return self.compute_instances(*self.outputs(), self.geometry, self.labels, self.score_threshold)

    @cached_property
    def saved_segments(self) -> list[Segment]:
        """The segments with the ids that they have in files, the colors of the PNG; computed on first access."""
        return coco_format.with_color_ids(self.segments, self.labels)

    def regions(self, task: Task | None = None) -> Regions:
        """Return what `draw` draws: a map of ids and its segments.

        Args:
            task: "panoptic" for the segments; "semantic" for a region per class; "instance" for the visible part of
                each of `confident_instances`, those of higher score on top; None for the result's task.

        Raises:
            InputError: If there is no such task.
        """
        task = choose_task(task, self.task)
        if task == "panoptic":
            return self._segments
        return self._classes if task == "semantic" else self._visible_instances

    def draw(
        self, task: Task | None = None, *, opacity: float = 0.5, labels: bool = True, legend: bool = True
    ) -> NDArray[np.uint8]:
        """Return a drawing of the regions over the image, RGB uint8 (H, W, 3), with a legend below that adds height.

        The frames of a stream are drawn alike: instances keep their colors as long as they overlap from one frame to
        the next, and the legend has the same height under all of them.

        Args:
            task: What to draw, see `regions`; None for the result's task.
            opacity: How much the colors cover the image, 0 to 1.
            labels: Whether to write the names and scores of regions.
            legend: Whether to list the classes below the image. Images whose shorter side is below 96 pixels have
                neither names nor a legend.

        Raises:
            InputError: If there is no such task, or the opacity is not between 0 and 1; then it is a ValueError, too.
        """
        drawn = self.regions(task)
        return drawing.draw(
            self.image,
            drawn.ids,
            drawn.segments,
            self.labels,
            opacity=opacity,
            names=labels,
            legend=legend,
            steady=self.continuity is not None,
            numbers=None if self.continuity is None else self.continuity.numbers(task or self.task, drawn),
        )

    def save(self, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Save the drawing and what fits the task, and return the paths, the drawing's first.

        They are named after the image, such as ``street_overlay.png``; after "image" if it has no name. Of a panoptic
        result, ``street_panoptic.png`` is the map in COCO's format, and ``street_panoptic.json`` its document. Of a
        semantic one, ``street_semantic.png`` has the index of each pixel's class, in 8 bits up to 256 classes, else in
        16. Of one of instances, ``street_instances.json`` lists `confident_instances` as COCO's results.

        Args:
            folder: The folder, which is created if it is missing.
            overwrite: Whether to replace existing files.

        Raises:
            OutputError: If a file exists and must not be replaced, or cannot be written.
            ArgumentError: If the folder is no path.
        """
        require_path("folder", folder)
        stem = usable(Path(self.name).stem) or "image"
        paths = [Path(os.fsdecode(folder)) / f"{stem}_{ending}" for ending in ("overlay.png", *_ENDINGS[self.task])]
        for path in paths if not overwrite else ():
            files.refuse_existing(path, option=None)
        png.write(paths[0], self.draw(), option=None)
        if self.task != "instance":
            png.write(paths[1], self.encode_map(self.task), option=None)
        if self.task != "semantic":
            with files.write_atomically(paths[-1], option=None) as temporary:
                temporary.write_bytes(msgspec.json.encode(self._document(stem)))
        return paths

    def _document(self, stem: str) -> object:
        """Return the content of the JSON file of an image whose files have names that begin with ``stem``."""
        records = self.to_coco(stem)
        if self.task == "instance":
            return records
        image = coco_format.image(stem, storable(Path(self.name).name), self.geometry.output_size)
        return coco_format.document(records, [image], self.labels)

    def encode_map(self, task: Literal["panoptic", "semantic"]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return a map as the pixels of a PNG.

        Returns:
            The panoptic map in COCO's format with the ids of `saved_segments`, RGB uint8 (H, W, 3); or the class index
            of each pixel, (H, W), uint8 for up to 256 classes and else uint16.

        Raises:
            InputError: If there is no map of this task.
        """
        if choose_task(task, "panoptic", ("panoptic", "semantic")) == "panoptic":
            return coco_format.encode(coco_format.renumber(self.panoptic, self.segments, self.saved_segments))
        fits = len(self.labels) <= _CLASSES_IN_A_BYTE
        return self.semantic.astype(np.uint8) if fits else self.semantic.astype(np.uint16)

    @cached_property
    def _segments(self) -> Regions:
        return Regions(self.panoptic, self.segments)

    @cached_property
    def _classes(self) -> Regions:
        return regions.of_classes(self.semantic, self.labels)

    @cached_property
    def _visible_instances(self) -> Regions:
        return regions.of_instances(self.confident_instances, self.panoptic.shape)

    def __getstate__(self) -> dict[str, object]:
        """Return what is pickled: all attributes, and instead of the function ``outputs`` what it returns.

        If it cannot return them any more, as the segmenter on a GPU is closed, the copy raises its error in turn.
        """
        try:
            outputs: Callable[[], tuple[Logits, Logits]] = _Kept(*self.outputs())
        except PemError as error:
            outputs = _Lost(error)
        return vars(self) | {"outputs": outputs}


@dataclass(frozen=True, eq=False)
class _Kept:
    """A function that returns the two arrays, and that can be pickled."""

    logits: Logits
    masks: Logits

    def __call__(self) -> tuple[Logits, Logits]:
        return self.logits, self.masks


@dataclass(frozen=True, eq=False)
class _Lost:
    """A function that raises an error, and that can be pickled."""

    error: PemError

    def __call__(self) -> tuple[Logits, Logits]:
        raise self.error
