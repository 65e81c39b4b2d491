"""The segmenter: runs a loaded artifact on images, batches and streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar, overload

from pem_edge.runtime import images, sources
from pem_edge.runtime.arguments import require_callable, require_whole
from pem_edge.runtime.artifacts.manifest import Task, Thresholds
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import Image
from pem_edge.runtime.inference import batches
from pem_edge.runtime.inference.backend import SegmenterBackend
from pem_edge.runtime.inference.pipeline import AnyPipeline, Merged, Prepared, record_time
from pem_edge.runtime.inference.postprocess.result_making import ResultMaker
from pem_edge.runtime.inference.stream import Stream, pipeline_for_rate
from pem_edge.runtime.inference.stream_workers import Job
from pem_edge.runtime.inference.thresholds import choose_thresholds
from pem_edge.runtime.results.drawing.continuity import Continuity
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Footage, Source

ImageT = TypeVar("ImageT", bound=Image)


class Segmenter:
    """Segments images with a loaded artifact. Several threads may use it at the same time.

    A ``with`` block closes the segmenter at its end. It can be pickled; another process loads the artifact again. A
    forked process does so, too, when it uses the segmenter, unless that is on a GPU, which a fork cannot use.

    Example:
        >>> from pathlib import Path
        >>> import pem_edge
        >>> with pem_edge.load("demo") as segmenter:
        ...     result = segmenter("street.jpg")
        ...     results = segmenter(["street.jpg", Path("crossing.jpg").read_bytes()])
        >>> result.name, len(results)
        ('street.jpg', 2)

    Attributes:
        manifest: The artifact's manifest.
        backend: The backend that loaded the artifact.
        thresholds: The default thresholds of segments and instances.
        task: What results show: what the model was trained for, or what was asked for.
        batch: How many images of a list are run at once, if they have the same size at the model's input.
        bf16: Whether the model computes in bfloat16.
    """

    def __init__(self, backend: SegmenterBackend, thresholds: Thresholds, task: Task | None = None) -> None:
        self.manifest = backend.artifact.manifest
        self.backend = backend
        self.thresholds = thresholds
        self.task: Task = task or self.manifest.task
        self.batch = batches.fastest(self.manifest.input, backend.device)
        self.bf16 = backend.settings().get("precision") == "bf16"
        self._pipeline = backend.pipeline()
        self._results = ResultMaker(self.manifest.classes, self.manifest.task)

    @overload
    def __call__(
        self, image: Image, *, score_threshold: float | None = None, overlap_threshold: float | None = None
    ) -> Result: ...

    @overload
    def __call__(
        self, image: list[Image], *, score_threshold: float | None = None, overlap_threshold: float | None = None
    ) -> list[Result]: ...

    @overload
    def __call__(
        self,
        image: list[ImageT] | tuple[Image, ...],
        *,
        score_threshold: float | None = None,
        overlap_threshold: float | None = None,
    ) -> list[Result]: ...

    def __call__(
        self,
        image: Image | list[ImageT] | tuple[Image, ...],
        *,
        score_threshold: float | None = None,
        overlap_threshold: float | None = None,
    ) -> Result | list[Result]:
        """Segment an image, or a list of images, on a GPU in batches of up to the model's maximum batch size.

        Args:
            image: An image file: its path, its address (http://, https://, file://), its content as bytes, or a file
                open for reading; "demo:street", which comes with the package; a Pillow image; or an array of any
                library in host memory: RGB uint8 (H, W, 3), gray (H, W) or RGBA (H, W, 4). Or a list or tuple of these,
                mixed and of any sizes. Images that have the same size at the model's input share batches on a GPU.
            score_threshold: The minimum class probability of a segment, and the minimum score of the instances that
                the result shows, 0 to 1; None for the segmenter's default.
            overlap_threshold: The minimum visible fraction of a segment's mask, 0 to 1; None for the segmenter's
                default.

        Returns:
            The result, of the image's size. For a list, a list of results in the same order. ``milliseconds`` include
            "decode" for files, with the time to read or fetch them. The time of a stage that ran on a batch is divided
            by the number of images.

        Raises:
            InputError: If a file is not an image, an array has another shape or type, or a threshold is out of range.
            BackendError: If the model cannot be run.
        """
        thresholds = choose_thresholds(self.thresholds, score_threshold, overlap_threshold)
        if isinstance(image, (list, tuple)):
            return self._segment(image, thresholds)
        return self._segment([image], thresholds)[0]

    def stream(
        self,
        source: str | Path | int | list[ImageT] | tuple[Image, ...] | Source,
        on_error: Callable[[InputError], None] | None = None,
        *,
        timeout: float | None = sources.TIMEOUT,
        recursive: bool = False,
        frames: int | None = None,
    ) -> Stream:
        """Segment the images of a source in order. `Result.name` identifies the image of a result.

        Consecutive images are decoded, segmented and merged at the same time, and only a few are in memory. For a live
        source, such as a camera or an address, the newest image is segmented next, and `Stream.dropped` counts the
        images that were skipped. On a GPU, it is taken while the image before it is segmented, so that the GPU is busy.

        Example:
            >>> import pem_edge
            >>> segmenter = pem_edge.load("demo")
            >>> with segmenter.stream("drive.mp4") as stream:
            ...     names = [result.name for result in stream]
            >>> len(names)
            3

        Args:
            source: An argument of `runtime.sources.find`, or a `Source`.
            on_error: Called with the error of each image that cannot be read, whose name is the error's ``image`` and
                which is then skipped; and with the error of a video that ends too early or a camera that is lost, which
                ends the stream. If None, all of these errors are raised and end the stream.
            timeout: The seconds that a live source may give nothing; None for any time.
            recursive: Whether images and videos in folders within a folder are segmented, too.
            frames: The number of results after which no more follow; None for all.

        Returns:
            The stream, an iterator over results. A ``with`` block or `Stream.close` ends its threads.

        Raises:
            InputError: If there is no such source, or another argument cannot be used.
            BackendError: If the model cannot be run.
        """
        if on_error is not None:
            require_callable("on_error", on_error)
        if frames is not None:
            require_whole("frames", frames, 1, sys.maxsize, such_as=100, without="all")
        found = source if isinstance(source, Source) else sources.find(source, timeout=timeout, recursive=recursive)
        pair = pipeline_for_rate(self.backend, found, frames)
        pipeline = pair or self._pipeline
        finish = partial(self._finish, pipeline, Continuity() if isinstance(found, Footage) else None)
        infer, end = partial(self._infer_one, pipeline), pair.close if pair else None
        return Stream(found, pipeline.prepare, infer, finish, on_error, end, frames)

    def close(self) -> None:
        """Free the backend. Later calls raise BackendError."""
        self.backend.close()

    def __repr__(self) -> str:
        spec = self.manifest.input
        sides = ((spec.dynamic_height, spec.height), (spec.dynamic_width, spec.width))
        size = "x".join(f"{varies.least}-{varies.most}" if varies else str(fixed) for varies, fixed in sides)
        computed = " in bfloat16" if self.bf16 else ""
        about = f"{self.manifest.variant}, {self.backend.name}{computed}, {size}, {self.task}"
        return f"<Segmenter {str(self.backend.artifact.model)!r}: {about}>"

    def __reduce__(self) -> tuple[type[Segmenter], tuple[SegmenterBackend, Thresholds, Task]]:
        return type(self), (self.backend, self.thresholds, self.task)

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _segment(self, given: Sequence[object], thresholds: Thresholds) -> list[Result]:
        jobs: list[Job] = []
        results: dict[int, Result] = {}
        prepared = (self._prepare(each, jobs, len(given)) for each in given)
        for batch in batches.group(prepared, self.batch):
            inferred = self._pipeline.infer([image for _, image in batch], thresholds)
            merged = self._pipeline.merge(inferred)
            for (index, _), found in zip(batch, merged, strict=True):
                results[index] = self._make_result(jobs[index], found, thresholds)
        return [results[index] for index in range(len(given))]

    def _prepare(self, image: object, jobs: list[Job], count: int) -> Prepared:
        """Read and prepare the next of ``count`` images, and append its job to ``jobs``."""
        try:
            job = _read(image)
        except InputError as error:
            if count == 1:
                raise
            raise InputError(f"of {count} images, number {len(jobs) + 1}: {error}") from error
        jobs.append(job)
        prepared: Prepared = self._pipeline.prepare(job.image)
        return prepared

    def _infer_one(self, pipeline: AnyPipeline, prepared: object) -> object:
        return pipeline.infer([prepared], self.thresholds)

    def _finish(self, pipeline: AnyPipeline, continuity: Continuity | None, job: Job) -> Result:
        (merged,) = pipeline.merge(job.state)
        return self._make_result(job, merged, self.thresholds, continuity)

    def _make_result(
        self, job: Job, merged: Merged, thresholds: Thresholds, continuity: Continuity | None = None
    ) -> Result:
        return self._results.make(
            merged,
            job.image,
            self.task,
            thresholds,
            name=job.name,
            milliseconds=job.milliseconds,
            time=job.time,
            continuity=continuity,
        )


def _read(image: object) -> Job:
    milliseconds: dict[str, float] = {}
    with record_time(milliseconds, "decode"):
        pixels = images.convert(image)
    encoded = isinstance(image, (str, os.PathLike, bytes, bytearray)) or hasattr(image, "read")
    return Job(images.name_of(image), pixels, milliseconds if encoded else {}, None)
