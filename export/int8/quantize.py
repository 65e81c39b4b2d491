"""Quantizes a graph to INT8: calibrates, chooses the blocks that stay in floating point, and measures the loss."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge import calibration
from pem_edge.calibration import Agreement, CalibrationSet, LabeledScore, Report, Statistics
from pem_edge.export.int8.calibration_images import CalibrationImages
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest
from pem_edge.runtime.artifacts.sections import Quantization
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.progress import Say

_LABELED_IMAGES = 50
"""Maximum number of labeled images on which PQ or mean IoU is measured."""

_AGREEMENT_IMAGES = 20
"""Maximum number of images on which the agreement with single precision is measured."""

_MIN_AGREEMENT = 75.0
"""Minimum percentage of pixels that keep their class. Below it, not rounding but the calibration must be at fault."""


class Quantizer:
    """Quantizes the graphs of one model, all from one calibration of its graph in single precision.

    Raises:
        InputError: If a calibration image can no longer be read.
        CalibrationError: If the graph cannot be calibrated on them.
    """

    def __init__(self, single: onnx.ModelProto, manifest: Manifest, images: CalibrationImages, say: Say) -> None:
        """Calibrate.

        Args:
            single: The graph in single precision, which takes one image at a time.
            manifest: The manifest of the artifact, for the size of images and the classes.
            images: The images to calibrate on, and how to quantize.
            say: Takes remarks on progress.
        """
        self._single, self._settings, self._say = single, images.settings, say
        self._manifest = msgspec.structs.replace(manifest, input=for_one_image(manifest.input))
        self._labeled_score = _score_on_labels(images.labeled, self._manifest)
        self._scores: dict[tuple[str, ...], float] = {}
        self._images = images.picked
        self._statistics: Statistics = calibration.statistics(single, self._images, images.settings.cache, say)

    def quantize(self, graph: onnx.ModelProto) -> tuple[onnx.ModelProto, Quantization]:
        """Quantize ``graph``, the graph in single precision or a version of it that computes in half precision.

        Returns:
            The graph in INT8, and what the manifest is to say about it.

        Raises:
            ExportError: If agreement with single precision is too low, or the loss exceeds what the settings allow
                even with all blocks in floating point.
            CalibrationError: If the model is for instances, and finds nothing in the images.
        """
        kept, sensitivity = self._choose_blocks()
        agreement = self._agreement(self._quantize_single(kept))
        if agreement < _MIN_AGREEMENT:
            raise ExportError(
                f"INT8 gives only {agreement:.1f} % of {self._pixels} the class that single precision gives them, "
                f"expected {_MIN_AGREEMENT:g} % or more: calibrate on more images like those that the model is for, "
                "with --calib, or set --max-pq-drop"
            )
        quantized, report = self._place(graph, kept)
        return quantized, self._describe(report, agreement, self._measure_quality(kept), sensitivity)

    def _choose_blocks(self) -> tuple[tuple[str, ...], dict[str, float]]:
        """Return the blocks to keep in floating point, and the loss that each block causes alone.

        Both are empty where INT8 throughout loses no more than the maximum.
        """
        max_drop = self._settings.max_drop
        if max_drop is None:
            return (), {}
        drop = self._single_score - self._score_with_kept(())
        unit = f"percentage points of {self._measure}"
        self._say(f"INT8 throughout loses {drop:.2f} {unit}, the maximum is {max_drop:.2f}")
        if drop <= max_drop:
            return (), {}
        names = calibration.blocks(self._single, self._settings.placement)
        ranking = calibration.sensitivity(names, self._quantize_single, self._score, self._single_score)
        choice = calibration.choose(ranking, self._quantize_single, self._score, self._single_score, max_drop)
        self._say(
            f"{len(choice.kept)} of {len(ranking)} blocks stay in floating point, the loss is {choice.drop:.2f} {unit}"
        )
        if choice.drop > max_drop:
            raise ExportError(
                f"even with all {len(ranking)} blocks in floating point the loss is {choice.drop:.2f} {unit}, "
                f"more than {max_drop:.2f}: raise --max-pq-drop, calibrate on more images or choose another "
                "--calib-method"
            )
        return choice.kept, ranking

    def _place(self, graph: onnx.ModelProto, kept: Collection[str]) -> tuple[onnx.ModelProto, Report]:
        settings = self._settings
        return calibration.quantize(graph, self._statistics, settings.placement, settings.method, kept)

    def _quantize_single(self, kept: Collection[str]) -> onnx.ModelProto:
        return self._place(self._single, kept)[0]

    @cached_property
    def _agreement(self) -> Agreement:
        return Agreement(self._manifest, self._single, _Subset(self._images, _AGREEMENT_IMAGES))

    @property
    def _score(self) -> Callable[[onnx.ModelProto], float]:
        """The score of a model in percent: PQ or mean IoU, or agreement where there are no labels."""
        return self._labeled_score or self._agreement

    @property
    def _measure(self) -> str:
        return self._labeled_score.measure if self._labeled_score else "agreement"

    @property
    def _pixels(self) -> str:
        """Says what `Agreement` counts."""
        return "the pixels of segments" if self._manifest.task == "instance" else "pixels"

    @cached_property
    def _single_score(self) -> float:
        return self._score(self._single)

    def _score_with_kept(self, kept: tuple[str, ...]) -> float:
        """Return the score in INT8 with the blocks ``kept`` in floating point; it is measured once."""
        if kept not in self._scores:
            self._scores[kept] = self._score(self._quantize_single(kept))
        return self._scores[kept]

    def _measure_quality(self, kept: tuple[str, ...]) -> dict[str, float] | None:
        """Return PQ or mean IoU by precision, in percent; None where there are no labels."""
        if self._labeled_score is None:
            return None
        return {"fp32": self._single_score, "int8": self._score_with_kept(kept)}

    def _describe(
        self, report: Report, agreement: float, quality: dict[str, float] | None, sensitivity: dict[str, float]
    ) -> Quantization:
        return Quantization(
            placement=self._settings.placement,
            method=self._settings.method,
            source=self._settings.source,
            images=self._statistics.count,
            images_sha256=self._statistics.images,
            layers=report.int8,
            kept=report.kept,
            share_of_convolutions=report.share_of_convolutions,
            share_of_all=report.share_of_all,
            agreement=agreement,
            pq=quality if self._measure == "PQ" else None,
            miou=quality if self._measure == "mean IoU" else None,
            sensitivity=sensitivity,
        )


def for_one_image(spec: InputSpec) -> InputSpec:
    """Return a copy of ``spec`` that takes one image of its default size, which is what models are calibrated with."""
    return msgspec.structs.replace(spec, batch=1, dynamic_batch=None, dynamic_height=None, dynamic_width=None)


class _Subset:
    """At most ``count`` images of a calibration set, evenly spaced."""

    def __init__(self, images: CalibrationSet, count: int) -> None:
        self._images, self._indices = images, set(_space_evenly(len(images), count))

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (image for index, image in enumerate(self._images) if index in self._indices)


def _score_on_labels(labeled: Dataset | None, manifest: Manifest) -> LabeledScore | None:
    """Return the score on ``labeled``; None where there are no labels."""
    if labeled is None:
        return None
    return LabeledScore(manifest, labeled, _space_evenly(len(labeled), _LABELED_IMAGES))


def _space_evenly(total: int, count: int) -> list[int]:
    """Return at most ``count`` of the indices from 0 to ``total`` - 1, evenly spaced."""
    count = min(total, count)
    return [index * total // count for index in range(count)]
