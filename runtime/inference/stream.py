"""Streams: segment the images of a source in order, running the stages of consecutive images at the same time.

Three threads decode, infer and merge. Each hands on one image at a time, so memory use does not depend on the length of
the source.

A pipeline may only start a model's run when it infers, and wait for it when it merges. An image of a live source would
age behind the runs that wait for their turn. So the newest one is only taken when no more than one image is left ahead
of it: while the model runs on that one, the next is made ready.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock, Thread
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import BackendError, InputError
from pem_edge.runtime.handoff_queue import Closed
from pem_edge.runtime.inference.backend import SegmenterBackend
from pem_edge.runtime.inference.paired_pipeline import PairedPipeline
from pem_edge.runtime.inference.stream_workers import (
    END,
    Failure,
    Job,
    Jobs,
    PatientJobs,
    Results,
    Timeout,
    Workers,
    decode,
    run_stage,
)
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Footage, Source

_LONG = 32
"""The least number of images for which loading the model once more pays: a stream gains a tenth of its time by that."""

Prepare = Callable[[NDArray[np.uint8]], object]
Infer = Callable[[object], object]


class Stream(Iterator[Result]):
    """An iterator over the results of a source's images, in order. See `Segmenter.stream`.

    Several threads may read it, each result going to one of them.

    The threads start with the first result that is requested. They end with the source, after ``frames``
    results, with an error, with `close` or the end of a ``with`` block, and when the stream is garbage collected. An
    error that is raised ends the stream.

    Args:
        source: The source of the images.
        prepare: Fits an image, RGB uint8 (H, W, 3), to the model's input.
        infer: Runs the model on what ``prepare`` returned.
        finish: Turns a job whose state is what ``infer`` returned into a result.
        on_error: Called with errors of the source; None to raise them.
        on_end: Called when the stream is closed or garbage collected, before its threads have ended.
        frames: The number of results after which no more follow; None for all.

    Attributes:
        taken: The number of results returned so far.
    """

    def __init__(
        self,
        source: Source,
        prepare: Prepare,
        infer: Infer,
        finish: Callable[[Job], Result],
        on_error: Callable[[InputError], None] | None,
        on_end: Callable[[], None] | None = None,
        frames: int | None = None,
    ) -> None:
        self.taken = self._asked = 0
        self._frames = frames
        self._changing = Lock()
        self._on_error = on_error
        self._decoded, inferred, self._results = Jobs(), PatientJobs() if source.live else Jobs(), Results()

        def prepare_job(job: Job) -> Job:
            return replace(job, state=prepare(job.image))

        def infer_job(job: Job) -> Job:
            return replace(job, state=infer(prepare(job.image) if source.live else job.state))

        # The newest image of a live source is only known when it is taken, so it is not prepared earlier.
        prepare_early = None if source.live else prepare_job
        threads = [
            _make_thread("pem-decode", decode, source, prepare_early, self._decoded),
            _make_thread("pem-infer", run_stage, infer_job, self._decoded, inferred, _timeout(source)),
            _make_thread("pem-merge", run_stage, finish, inferred, self._results),
        ]
        queues = (self._decoded, inferred, self._results)
        self._workers = Workers(threads, queues, on_end)
        self._finalizer = weakref.finalize(self, self._workers.end)

    @property
    def dropped(self) -> int:
        """Number of images of a live source that were replaced by newer ones before they were taken."""
        return self._decoded.replaced

    def __next__(self) -> Result:
        """Return the next result. Raise InputError or BackendError if there is none because of an error."""
        self._require_threads()
        if not self._ask():
            raise StopIteration
        try:
            self._start()
            result = self._get_result()
        except Closed:
            raise StopIteration from None
        except BaseException:
            self.close()
            raise
        with self._changing:
            self.taken += 1
        return result

    def close(self) -> None:
        """End the threads; no more results follow. May be called more than once.

        In a process that was forked from the one that reads the stream, it goes on there.
        """
        self._finalizer()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_threads(self) -> None:
        """Raise BackendError, and the next time StopIteration, in a process that was forked from the one that reads."""
        if self._workers.left_behind:
            if self._finalizer.detach() is None:
                raise StopIteration
            raise BackendError(
                "the threads of this stream are in the process that began to read it, not in this one, which was "
                "forked from it: make a new stream here"
            )

    def _ask(self) -> bool:
        """Count one result more as asked for; return False, and end what has ended, if it would be one too many."""
        with self._changing:
            if self._asked != self._frames:
                self._asked += 1
                return True
        if self.taken == self._frames:
            self.close()
        return False

    def _start(self) -> None:
        with self._changing:
            if self._finalizer.alive:
                self._workers.start()

    def _get_result(self) -> Result:
        while isinstance(item := self._results.get(), Failure):
            if item is END:
                raise StopIteration  # not END's own exception, whose traceback would keep objects of this stream alive
            if self._on_error is None or not isinstance(item.error, InputError):
                raise item.error
            self._on_error(item.error)
            if item.final:
                raise StopIteration
        return item


def pipeline_for_rate(backend: SegmenterBackend, source: Source, frames: int | None) -> PairedPipeline | None:
    """Return the pipeline for a stream of which only the rate counts; None where each image counts, or there are few.

    Args:
        backend: The loaded model.
        source: The source of the images. If it does not state its length, it counts as long.
        frames: The number of results that are asked for; None for all.

    Raises:
        BackendError: If the backend is closed and the source is long and recorded.
    """
    count = min((each for each in (source.length, frames) if each is not None), default=_LONG)
    return backend.stream_pipeline() if source.recorded and not source.live and count >= _LONG else None


def _timeout(source: Source) -> Timeout | None:
    if not isinstance(source, Footage) or source.timeout is None:
        return None
    cure = "see whether it still runs, or give a longer timeout"
    return Timeout(source.timeout, InputError(f"{source.name} gave no image for {source.timeout:g} s: {cure}"))


def _make_thread(name: str, work: Callable[..., None], *arguments: object) -> Thread:
    """Return a daemon thread, which cannot keep the process alive even if a C library blocks it.

    Those of a `PairedPipeline` are not daemon threads: Python waits for the images that they work on before it ends.
    """
    return Thread(target=work, name=name, args=arguments, daemon=True)
