"""A pipeline that works on two images at once, for a CPU whose cores two runs of a model keep busier than one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from threading import Semaphore, Thread

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.inference.pipeline import AnyPipeline, Merged, Prepared


class PairedPipeline:
    """A `Pipeline` that runs another one: `infer` starts a thread that infers and merges, `merge` waits for its result.

    While two batches are in work, `infer` waits until one of them is done.
    """

    def __init__(self, pipeline: AnyPipeline) -> None:
        self._pipeline, self._free = pipeline, Semaphore(2)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """See `Pipeline.prepare`."""
        prepared: Prepared = self._pipeline.prepare(image)
        return prepared

    def infer(self, batch: Sequence[Prepared], thresholds: Thresholds) -> Future[list[Merged]]:
        """See `Pipeline.infer`."""
        merged: Future[list[Merged]] = Future()
        self._free.acquire()
        Thread(target=self._work, args=(batch, thresholds, merged), name="pem-pair", daemon=True).start()
        return merged

    def merge(self, inferred: Future[list[Merged]]) -> list[Merged]:
        """See `Pipeline.merge`."""
        return inferred.result()

    def _work(self, batch: Sequence[Prepared], thresholds: Thresholds, merged: Future[list[Merged]]) -> None:
        try:
            merged.set_result(self._pipeline.merge(self._pipeline.infer(batch, thresholds)))
        except BaseException as error:
            merged.set_exception(error)
        finally:
            self._free.release()
