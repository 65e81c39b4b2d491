"""An artifact loaded by a backend: image in, result out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from runtime import artifact as artifacts
from runtime import backends, images, labels, postprocess, preprocess, sources
from runtime.artifact import Artifact
from runtime.backends.base import Backend
from runtime.errors import BackendError, InputError
from runtime.manifest import Thresholds
from runtime.result import Result, named
from runtime.sources import Source


def load(
    path: str | Path,
    backend: str | None = None,
    *,
    score_threshold: float | None = None,
    overlap_threshold: float | None = None,
) -> Segmenter:
    """Load the model file ``path`` with the backend of that name, or with the fastest installed one.

    Thresholds (0 to 1) are the manifest's unless given. Raises ArtifactError, ManifestError, BackendError, InputError.
    """
    artifact = artifacts.read(path)
    thresholds = _chosen(artifact.manifest.thresholds, score_threshold, overlap_threshold)
    return Segmenter(artifact, backends.create(backend, artifact), thresholds)


class Segmenter:
    """Segments images. Threads may share one; a ``with`` block closes it."""

    def __init__(self, artifact: Artifact, backend: Backend, thresholds: Thresholds) -> None:
        self.manifest = artifact.manifest
        self.backend = backend
        self.thresholds = thresholds
        self._things = labels.things(self.manifest.classes)

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
        thresholds = _chosen(self.thresholds, score_threshold, overlap_threshold)
        watch = _Stopwatch()
        if not isinstance(image, (str, Path)):
            return self._segment(images.from_array(image), "", thresholds, watch)
        pixels = images.read(Path(image))
        watch.lap("decode")
        return self._segment(pixels, str(image), thresholds, watch)

    def stream(
        self, source: str | Path | Source, on_error: Callable[[InputError], None] | None = None
    ) -> Iterator[Result]:
        """Segment the images of a picture, folder or video, in order; `Result.name` says which one a result is of.

        A picture that cannot be read ends the stream with its InputError; with ``on_error``, it is left out and its
        error is passed to that. Raises InputError, BackendError.
        """
        watch = _Stopwatch()
        for frame in sources.find(source) if isinstance(source, (str, Path)) else source:
            try:
                pixels = frame.read()
            except InputError as error:
                if on_error is None:
                    raise
                on_error(error)
            else:
                watch.lap("decode")
                yield self._segment(pixels, frame.name, self.thresholds, watch)
            watch = _Stopwatch()

    def close(self) -> None:
        """Free the backend; later calls raise BackendError."""
        self.backend.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _segment(self, image: NDArray[np.uint8], name: str, thresholds: Thresholds, watch: _Stopwatch) -> Result:
        fitted, geometry = preprocess.prepare(image, self.manifest.input)
        batch = self._batch(fitted)
        watch.lap("preprocess")
        logits, masks = self.backend(batch)
        watch.lap("inference")
        try:
            panoptic, segments = postprocess.panoptic(
                logits[0],
                masks[0],
                **vars(geometry),
                things=self._things,
                score_threshold=thresholds.score,
                overlap_threshold=thresholds.overlap,
            )
        except ValueError as error:
            raise BackendError(
                f"{self.backend.artifact.model} makes no sense of {name or 'the image'}: {error}"
            ) from error
        watch.lap("postprocess")
        return Result(
            name=name,
            image=image,
            panoptic=panoptic,
            segments=named(segments, self.manifest.classes),
            milliseconds=watch.milliseconds,
            labels=self.manifest.classes,
            logits=logits[0],
            masks=masks[0],
            geometry=geometry,
        )

    def _batch(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The smallest batch the artifact takes, (N, H, W, 3), filled with ``image``; the first result counts."""
        spec = self.manifest.input
        size = spec.dynamic_batch.least if spec.dynamic_batch else spec.batch
        return np.broadcast_to(image, (size, *image.shape))


class _Stopwatch:
    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Note the time since the last lap as that of ``stage``."""
        now = time.perf_counter()
        self.milliseconds[stage] = 1000 * (now - self._last)
        self._last = now


def _chosen(defaults: Thresholds, score: float | None, overlap: float | None) -> Thresholds:
    chosen = Thresholds(
        score=defaults.score if score is None else score, overlap=defaults.overlap if overlap is None else overlap
    )
    for name, value in (("score_threshold", chosen.score), ("overlap_threshold", chosen.overlap)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}, expected 0 to 1")
    return chosen
