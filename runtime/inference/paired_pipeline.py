"""A pipeline that works on two images at once, for a CPU whose cores two runs of a model keep busier than one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.inference.pipeline import AnyPipeline, Merged, Prepared


class PairedPipeline:
    """A `Pipeline` that gives another one's work to two threads: `infer` asks for it, `merge` waits for its result.

    They are not daemon threads: the process does not end before the images that they work on, which takes as long as a
    few runs of the model. If it ended in the middle of a run, the library might crash.
    """

    def __init__(self, pipeline: AnyPipeline) -> None:
        self._pipeline, self._pair = pipeline, ThreadPoolExecutor(2, "pem-pair")

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """See `Pipeline.prepare`."""
        prepared: Prepared = self._pipeline.prepare(image)
        return prepared

    def infer(self, batch: Sequence[Prepared], thresholds: Thresholds) -> Future[list[Merged]]:
        """See `Pipeline.infer`."""
        return self._pair.submit(_segment, self._pipeline, batch, thresholds)

    def merge(self, inferred: Future[list[Merged]]) -> list[Merged]:
        """See `Pipeline.merge`."""
        return inferred.result()

    def close(self) -> None:
        """End the threads, each after the image that it works on. Nothing else may be asked for."""
        self._pair.shutdown(wait=False, cancel_futures=True)


def _segment(pipeline: AnyPipeline, batch: Sequence[Prepared], thresholds: Thresholds) -> list[Merged]:
    merged: list[Merged] = pipeline.merge(pipeline.infer(batch, thresholds))
    return merged
