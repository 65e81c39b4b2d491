"""An artifact loaded by a backend: image in, result out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images, sources
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference import batches, postprocess
from pem_edge.runtime.inference.backend import Backend
from pem_edge.runtime.inference.pipeline import Merged, Prepared, timed
from pem_edge.runtime.inference.stream import Job, Stream
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance, named
from pem_edge.runtime.sources import Source

Picture = str | Path | NDArray[np.uint8]
PictureT = TypeVar("PictureT", bound=Picture)


class Segmenter:
    """Segments images. Threads may share one; a ``with`` block closes it."""

    def __init__(self, backend: Backend, thresholds: Thresholds) -> None:
        self.manifest = backend.artifact.manifest
        self.backend = backend
        self.thresholds = thresholds
        self._things = labels.things(self.manifest.classes)
        self._pipeline = backend.pipeline()

    @overload
    def __call__(
        self, image: Picture, *, score_threshold: float | None = None, overlap_threshold: float | None = None
    ) -> Result: ...

    @overload
    def __call__(
        self, image: list[PictureT], *, score_threshold: float | None = None, overlap_threshold: float | None = None
    ) -> list[Result]: ...

    def __call__(
        self,
        image: Picture | list[PictureT],
        *,
        score_threshold: float | None = None,
        overlap_threshold: float | None = None,
    ) -> Result | list[Result]:
        """Segment an image, or a list of images in batches as large as the model takes.

        Args:
            image: A picture file or an array, RGB uint8 (H, W, 3), also gray (H, W) or RGBA (H, W, 4); or a list of
                these, of any sizes: images that have one size at the model's input share batches.
            score_threshold: The least class probability of a segment, 0 to 1; by default the segmenter's.
            overlap_threshold: The least visible share of a segment's mask, 0 to 1; by default the segmenter's.

        Returns:
            The result, of the image's size; for a list, a list of results in the same order. ``milliseconds`` have
            "decode" for files; of a stage that a batch went through together, each image has its equal share.

        Raises:
            InputError: If a file is not a picture, an array has another shape or type, or a threshold is out of range.
            BackendError: If the model cannot be run.
        """
        thresholds = chosen_thresholds(self.thresholds, score_threshold, overlap_threshold)
        if isinstance(image, list):
            return self._segment(image, thresholds)
        return self._segment([image], thresholds)[0]

    def stream(
        self,
        source: str | Path | int | Source,
        on_error: Callable[[InputError], None] | None = None,
        *,
        timeout: float | None = sources.TIMEOUT,
    ) -> Stream:
        """Segment the images of a source in order; `Result.name` says which image a result is of.

        Neighboring images are decoded, segmented and merged at the same time; a few are held in memory. Of a live
        source, a camera or an address, the newest image is taken next, and `Stream.dropped` counts those that it
        replaced.

        Args:
            source: What `runtime.sources.find` takes, or a `Source`.
            on_error: Takes the error of each picture that cannot be read, which is then left out, and that of a video
                that ends too early or a camera that is lost, after which nothing follows. By default such errors end
                the stream.
            timeout: The seconds that a live source may give nothing; None for any time.

        Returns:
            The stream, an iterator over results; a ``with`` block or `Stream.close` ends its threads.

        Raises:
            InputError: If there is no such source.
            BackendError: If the model cannot be run.
        """
        found = sources.find(source, timeout=timeout) if isinstance(source, (str, Path, int)) else source
        return Stream(found, self._pipeline.prepare, self._infer_one, self._finish, on_error)

    def close(self) -> None:
        """Free the backend; later calls raise BackendError."""
        self.backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _segment(self, pictures: Sequence[Picture], thresholds: Thresholds) -> list[Result]:
        jobs: list[Job] = []
        results: dict[int, Result] = {}
        prepared = (self._prepared(picture, jobs) for picture in pictures)
        for batch in batches.grouped(prepared, batches.largest(self.manifest.input)):
            inferred = self._pipeline.infer([image for _, image in batch])
            merged = self._pipeline.merge(inferred, thresholds)
            for (index, _), found in zip(batch, merged, strict=True):
                results[index] = self._result(jobs[index], found)
        return [results[index] for index in range(len(pictures))]

    def _prepared(self, picture: Picture, jobs: list[Job]) -> Prepared:
        """Return ``picture`` as the pipeline prepares it, and add it to ``jobs``."""
        job = _read(picture)
        jobs.append(job)
        prepared: Prepared = self._pipeline.prepare(job.image)
        return prepared

    def _infer_one(self, prepared: object) -> object:
        return self._pipeline.infer([prepared])

    def _finish(self, job: Job) -> Result:
        (merged,) = self._pipeline.merge(job.state, self.thresholds)
        return self._result(job, merged)

    def _result(self, job: Job, merged: Merged) -> Result:
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


def _read(picture: Picture) -> Job:
    if not isinstance(picture, (str, Path)):
        return Job("", images.from_array(picture), {}, None)
    milliseconds: dict[str, float] = {}
    with timed(milliseconds, "decode"):
        pixels = images.read(Path(picture))
    return Job(str(picture), pixels, milliseconds, None)


def chosen_thresholds(defaults: Thresholds, score: float | None, overlap: float | None) -> Thresholds:
    """Return ``defaults`` with those that are given in their place. Raises InputError unless they are 0 to 1."""
    chosen = Thresholds(
        score=defaults.score if score is None else score, overlap=defaults.overlap if overlap is None else overlap
    )
    for name, value in (("score_threshold", chosen.score), ("overlap_threshold", chosen.overlap)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}, expected 0 to 1")
    return chosen
