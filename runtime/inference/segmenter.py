"""An artifact loaded by a backend: image in, result out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images, sources
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.pipeline import Backend, Merged, timed
from pem_edge.runtime.inference.stream import Job, Stream
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance, named
from pem_edge.runtime.sources import Source


class Segmenter:
    """Segments images. Threads may share one; a ``with`` block closes it."""

    def __init__(self, backend: Backend, thresholds: Thresholds) -> None:
        self.manifest = backend.artifact.manifest
        self.backend = backend
        self.thresholds = thresholds
        self._things = labels.things(self.manifest.classes)
        self._pipeline = backend.pipeline()

    def __call__(
        self,
        image: str | Path | NDArray[np.uint8],
        *,
        score_threshold: float | None = None,
        overlap_threshold: float | None = None,
    ) -> Result:
        """Segment a picture file or an array, RGB uint8 (H, W, 3), also grey (H, W) or RGBA (H, W, 4).

        The result is of the image's size. Its ``milliseconds`` have "decode" too if a file was given. Thresholds (0
        to 1) are the segmenter's unless given. Raises InputError, BackendError.
        """
        thresholds = chosen_thresholds(self.thresholds, score_threshold, overlap_threshold)
        if not isinstance(image, (str, Path)):
            return self._segment(images.from_array(image), "", thresholds, {})
        milliseconds: dict[str, float] = {}
        with timed(milliseconds, "decode"):
            pixels = images.read(Path(image))
        return self._segment(pixels, str(image), thresholds, milliseconds)

    def stream(
        self,
        source: str | Path | int | Source,
        on_error: Callable[[InputError], None] | None = None,
        *,
        timeout: float | None = sources.TIMEOUT,
    ) -> Stream:
        """Segment the images of a source, see `runtime.sources.find`, in order; `Result.name` says which one it is of.

        Neighbouring images are decoded, segmented and merged at the same time; a few are held in memory. Of a live
        source, a camera or an address, the newest image is taken next, `Stream.dropped` counts those it replaced; it
        may give none for ``timeout`` seconds, for ever if None (a `Source` has its own). A picture that cannot be read
        ends the stream with its InputError; with ``on_error``, it is left out and its error is passed to that, as is
        that of a video that ends too early or a camera that is lost, after which nothing follows.

        Raises InputError, BackendError.
        """
        found = sources.find(source, timeout=timeout) if isinstance(source, (str, Path, int)) else source
        return Stream(found, self._pipeline.prepare, self._pipeline.infer, self._finished, on_error)

    def close(self) -> None:
        """Free the backend; later calls raise BackendError."""
        self.backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _segment(
        self, image: NDArray[np.uint8], name: str, thresholds: Thresholds, milliseconds: dict[str, float]
    ) -> Result:
        inferred = self._pipeline.infer(self._pipeline.prepare(image))
        return self._merged(Job(name, image, milliseconds, inferred), thresholds)

    def _finished(self, job: Job) -> Result:
        return self._merged(job, self.thresholds)

    def _merged(self, job: Job, thresholds: Thresholds) -> Result:
        merged = self._pipeline.merge(job.state, thresholds)
        return Result(
            name=job.name,
            image=job.image,
            panoptic=merged.panoptic,
            segments=named(merged.segments, self.manifest.classes),
            milliseconds=job.milliseconds | merged.milliseconds,
            labels=self.manifest.classes,
            geometry=merged.geometry,
            outputs=merged.outputs,
            compute_semantic=lambda: postprocess.classify_pixels(*merged.outputs(), merged.geometry),
            compute_instances=lambda: self._instances(merged),
        )

    def _instances(self, merged: Merged) -> list[Instance]:
        found = postprocess.find_instances(*merged.outputs(), merged.geometry, self._things)
        return named(found, self.manifest.classes)


def chosen_thresholds(defaults: Thresholds, score: float | None, overlap: float | None) -> Thresholds:
    """Return ``defaults`` with those that are given in their place. Raises InputError unless they are 0 to 1."""
    chosen = Thresholds(
        score=defaults.score if score is None else score, overlap=defaults.overlap if overlap is None else overlap
    )
    for name, value in (("score_threshold", chosen.score), ("overlap_threshold", chosen.overlap)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}, expected 0 to 1")
    return chosen
