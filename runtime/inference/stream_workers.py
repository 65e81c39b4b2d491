"""A stream's threads: they take jobs from one queue, advance them by a stage, and put them into the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread, current_thread
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.handoff_queue import Closed, HandoffQueue
from pem_edge.runtime.inference.pipeline import record_time
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Frame, Source


@dataclass(frozen=True, eq=False)
class Job:
    """An image on its way through the stages.

    Attributes:
        name: The name of its frame.
        image: RGB uint8 (H, W, 3).
        milliseconds: The time of its decoding.
        state: The return value of the last stage.
        time: The time of its frame, see `Frame`.
    """

    name: str
    image: NDArray[np.uint8]
    milliseconds: dict[str, float]
    state: object
    time: float | None = None


@dataclass(frozen=True, eq=False)
class Failure:
    """An error that takes the place of a job or result. If it is ``final``, it is the last item."""

    error: BaseException
    final: bool


END = Failure(StopIteration(), final=True)
"""Last item of a source that ended normally."""

Output = TypeVar("Output", Job, Result)
Jobs = HandoffQueue[Job | Failure]
Results = HandoffQueue[Result | Failure]


class PatientJobs(Jobs):
    """A queue whose `put` waits until the item has been taken, so that its thread takes no further job meanwhile."""

    def put(self, item: Job | Failure, *, replace: bool = False) -> None:
        """Put an item into the queue, see `HandoffQueue.put`, and wait until it is taken."""
        super().put(item, replace=replace)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items)
            self._require_open()


@dataclass(frozen=True)
class Timeout:
    """The maximum time to wait for a job.

    Attributes:
        seconds: The time in seconds.
        error: The error that ends the stream when the time is over.
    """

    seconds: float
    error: InputError


_SOURCE_SECONDS, _MODEL_SECONDS = 1.0, 10.0
"""Seconds that closing waits for a thread to end. A source may never return; a running model returns soon."""


class Workers:
    """The three threads of a stream, which live in the process that starts them alone.

    Args:
        threads: The threads, the one that decodes first.
        queues: The queues between them, and that of the results.
        on_end: Called when they are ended; None for nothing.
    """

    def __init__(
        self, threads: Sequence[Thread], queues: Sequence[Jobs | Results], on_end: Callable[[], None] | None
    ) -> None:
        self._threads, self._queues, self._on_end = threads, queues, on_end
        self._process: int | None = None

    @property
    def left_behind(self) -> bool:
        """Tell whether this process was forked from the one that started the threads, and has none of them."""
        return self._process not in (None, os.getpid())

    def start(self) -> None:
        """Start the threads, once."""
        if self._process is None:
            self._process = os.getpid()
            for thread in self._threads:
                thread.start()

    def end(self) -> None:
        """End the threads. A forked process leaves all as it is: a thread that it lacks may hold the queues' locks."""
        if self.left_behind:
            return
        for queue in self._queues:
            queue.close()
        if self._on_end is not None:
            self._on_end()
        for thread, seconds in zip(self._threads, (_SOURCE_SECONDS, _MODEL_SECONDS, _MODEL_SECONDS), strict=True):
            # Not is_alive: a thread made before a fork and started after it never says that it is.
            if thread.ident is not None and thread is not current_thread():
                thread.join(seconds)


def decode(source: Source, prepare: Callable[[Job], Job] | None, output: Jobs) -> None:
    """Decode every image of a source and put a job for each into ``output``, until that is closed.

    Args:
        source: The source. A job of a live source replaces the one that is still in the queue.
        prepare: Advances each job before it is put into the queue; None to leave the jobs as decoded.
        output: The queue. After the last job, it gets a final failure.
    """
    with suppress(Closed):
        output.put(_decode_all(source, prepare, output))


def _decode_all(source: Source, prepare: Callable[[Job], Job] | None, output: Jobs) -> Failure:
    """Put all jobs into ``output`` and return the final failure that follows them."""
    try:
        for frame in source:
            job = _read(frame)
            output.put(prepare(job) if prepare and isinstance(job, Job) else job, replace=source.live)
    except Closed:
        raise
    except BaseException as error:
        return Failure(error, final=True)
    return END


def _read(frame: Frame) -> Job | Failure:
    milliseconds: dict[str, float] = {}
    try:
        with record_time(milliseconds, "decode"):
            image = frame.read()
    except InputError as error:
        error.image = frame.name
        return Failure(error, final=False)
    milliseconds["decode"] += frame.milliseconds
    return Job(frame.name, image, milliseconds, state=None, time=frame.time)


def run_stage(
    stage: Callable[[Job], Output],
    jobs: Jobs,
    output: HandoffQueue[Output | Failure],
    timeout: Timeout | None = None,
) -> None:
    """Apply ``stage`` to every job and put what it returns into ``output``, until a final failure or a closed queue.

    Failures are passed on. An error of the stage becomes a final failure.
    """
    with suppress(Closed):
        final = False
        while not final:
            item = _get(jobs, timeout)
            advanced = item if isinstance(item, Failure) else _attempt(stage, item)
            output.put(advanced)
            final = isinstance(advanced, Failure) and advanced.final


def _get(jobs: Jobs, timeout: Timeout | None) -> Job | Failure:
    if timeout is None:
        return jobs.get()
    try:
        return jobs.get(timeout.seconds)
    except TimeoutError:
        return Failure(timeout.error, final=True)


def _attempt(stage: Callable[[Job], Output], job: Job) -> Output | Failure:
    try:
        return stage(job)
    except BaseException as error:
        return Failure(error, final=True)
