"""Bodies of a stream's threads: they take jobs from one queue, advance them by a stage, and put them into the next."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
