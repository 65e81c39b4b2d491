"""From a graph in floating point to one in INT8: calibrate, place, measure, and refuse what came out broken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from pem_edge import calibration
from pem_edge.calibration import Agreement, CalibrationSet, PanopticScore, Report, Statistics
from pem_edge.export.int8 import speed
from pem_edge.export.int8.engine_timing import with_times
from pem_edge.export.int8.settings import Calibration
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest, Quantization
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import has_labels, open_dataset
from pem_edge.runtime.datasets.relabeling import Relabeled
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.progress import Say

_SCORED = 50
"""Labeled images that the loss of PQ is measured on, evenly spaced."""

_COMPARED = 20
"""Images that the agreement with single precision is measured on."""

_BROKEN = 75.0
"""Percent of pixels: if fewer keep their class, something is wrong with the calibration rather than with rounding."""


class Quantizer:
    """Quantizes a model's graphs from one calibration of ``single``, its graph in single precision for one image."""

    def __init__(self, single: onnx.ModelProto, manifest: Manifest, wanted: Calibration, say: Say) -> None:
        self._single, self._wanted, self._say = single, wanted, say
        self._labeled = _labeled(wanted.source, manifest)
        self._scores: dict[tuple[str, ...], float] = {}
        self._images = calibration.gather(wanted.source, fixed(manifest.input), wanted.count)
        for finding in self._images.findings:
            say(finding)
        self._statistics: Statistics = calibration.statistics(single, self._images, wanted.cache, say)
        self._manifest = msgspec.structs.replace(manifest, input=fixed(manifest.input))

    def quantize(self, graph: onnx.ModelProto) -> tuple[onnx.ModelProto, Quantization]:
        """Return ``graph`` in INT8, and what that means.

        ``graph`` is the graph in single precision, or the same with half in it.

        Raises:
            ExportError: If the result is broken, or loses too much however much stays in floating point.
        """
        kept, sensitivity = self._kept()
        agreement = self._agreement(self._emulated(kept))
        self._say(f"INT8 gives {agreement:.2f} % of pixels the class that single precision gives them")
        if agreement < _BROKEN:
            raise ExportError(
                f"INT8 agrees with single precision on {agreement:.1f} % of pixels, which is broken: calibrate on more "
                "images like those that the model is for, with --calib, or set --max-pq-drop"
            )
        quantized, report = self._place(graph, kept)
        return quantized, self._describe(report, agreement, self._quality(kept), sensitivity)

    def _place(self, graph: onnx.ModelProto, keep: Collection[str]) -> tuple[onnx.ModelProto, Report]:
        return calibration.quantize(graph, self._statistics, self._wanted.placement, self._wanted.method, keep)

    def _emulated(self, keep: Collection[str]) -> onnx.ModelProto:
        return self._place(self._single, keep)[0]

    def _kept(self) -> tuple[tuple[str, ...], dict[str, float]]:
        """Return the blocks to keep out of INT8, and what each costs; nothing where any loss will do."""
        most = self._wanted.most
        if most is None:
            return (), {}
        loss = self._reference - self._scored(())
        self._say(f"all in INT8 loses {loss:.2f}, where {most:.2f} may be lost")
        if loss <= most:
            return (), {}
        names = calibration.blocks(self._single, self._wanted.placement)
        ranking = calibration.sensitivity(names, self._emulated, self._score, self._reference)
        choice = calibration.choose(ranking, self._emulated, self._score, self._reference, most)
        self._say(f"{len(choice.kept)} of {len(ranking)} blocks stay in floating point; {choice.drop:.2f} is lost")
        if choice.drop > most:
            raise ExportError(
                f"{choice.drop:.2f} is lost with every block in floating point but the last, {most:.2f} may be: raise "
                "--max-pq-drop, calibrate on more images or choose another --calib-method"
            )
        return choice.kept, ranking

    @cached_property
    def _agreement(self) -> Agreement:
        return Agreement(self._single, _Some(self._images, _COMPARED))

    @cached_property
    def _score(self) -> Callable[[onnx.ModelProto], float]:
        if self._labeled is None:
            return self._agreement
        return PanopticScore(self._manifest, self._labeled, _spread(len(self._labeled), _SCORED))

    @cached_property
    def _reference(self) -> float:
        return self._score(self._single)

    def _scored(self, kept: tuple[str, ...]) -> float:
        if kept not in self._scores:
            self._scores[kept] = self._score(self._emulated(kept))
        return self._scores[kept]

    def _quality(self, kept: tuple[str, ...]) -> dict[str, float] | None:
        if self._labeled is None:
            return None
        quality = {"fp32": self._reference, "int8": self._scored(kept)}
        self._say(f"PQ {quality['fp32']:.2f} in single precision, {quality['int8']:.2f} in INT8")
        return quality

    def _describe(
        self, report: Report, agreement: float, quality: dict[str, float] | None, sensitivity: dict[str, float]
    ) -> Quantization:
        return Quantization(
            placement=self._wanted.placement,
            method=self._wanted.method,
            source=self._wanted.source,
            images=self._statistics.count,
            images_sha256=self._statistics.images,
            layers=report.int8,
            kept=report.kept,
            share_of_convolutions=report.share_of_convolutions,
            share_of_all=report.share_of_all,
            agreement=agreement,
            pq=quality,
            sensitivity=sensitivity,
        )


def timed(
    before: onnx.ModelProto, described: Manifest, after: onnx.ModelProto, manifest: Manifest, say: Say
) -> Manifest:
    """Return ``manifest``, that of ``after``, with the times of both models here; say so if INT8 gains nothing."""
    name, found = speed.milliseconds({described.precision: (before, described), "int8": (after, manifest)})
    say(speed.verdict(found, described.precision, name))
    return with_times(manifest, found, name)


def fixed(spec: InputSpec) -> InputSpec:
    """Return the spec of one image of the usual size, at which a model is calibrated."""
    return msgspec.structs.replace(spec, batch=1, dynamic_batch=None, dynamic_height=None, dynamic_width=None)


class _Some:
    """Some images of a set, evenly spaced."""

    def __init__(self, images: CalibrationSet, count: int) -> None:
        self._images, self._wanted = images, set(_spread(len(images), count))

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (image for index, image in enumerate(self._images) if index in self._wanted)


def _labeled(source: str, manifest: Manifest) -> Dataset | None:
    """Return the source with the model's classes, None where it has no labels."""
    return Relabeled(open_dataset(source), manifest.classes) if has_labels(source) else None


def _spread(total: int, count: int) -> list[int]:
    wanted = min(total, count)
    return [index * total // wanted for index in range(wanted)]
