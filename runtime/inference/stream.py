"""The stages of neighboring images at once: one is decoded while the one before it is segmented, and so on.

Three threads hand images on one at a time, so that whoever is slower than the others makes them wait, and the memory
in use does not depend on how long the source is.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Thread, current_thread
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.handoff_queue import Closed, HandoffQueue
from pem_edge.runtime.inference.pipeline import timed
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Footage, Frame, Source

_SOURCE_ENDS, _MODEL_ENDS = 1.0, 10.0  # seconds that closing waits: a source may be stuck, a run of the model goes on


@dataclass(frozen=True, eq=False)
class Job:
    """An image under way.

    Attributes:
        name: The name of its frame.
        image: RGB uint8 (H, W, 3).
        milliseconds: The time of its decoding.
        state: What the last stage returned.
    """

    name: str
    image: NDArray[np.uint8]
    milliseconds: dict[str, float]
    state: object


@dataclass(frozen=True, eq=False)
class _Failure:
    """An error in the place of a result. Nothing follows if it is ``final``."""

    error: BaseException
    final: bool


_END = _Failure(StopIteration(), final=True)

Prepare = Callable[[NDArray[np.uint8]], object]
Infer = Callable[[object], object]
Done = TypeVar("Done", Job, Result)
_Jobs = HandoffQueue[Job | _Failure]
_Results = HandoffQueue[Result | _Failure]


class Stream(Iterator[Result]):
    """The results of a source's images, in order. Threads work for it from the first one on.

    They end with the source, with an error, with `close` (or the end of a ``with`` block), and when nobody holds the
    stream any more. What it raises ends it, see `Segmenter.stream`. ``taken`` is how many results it gave.
    """

    def __init__(
        self,
        source: Source,
        prepare: Prepare,
        infer: Infer,
        finish: Callable[[Job], Result],
        on_error: Callable[[InputError], None] | None,
    ) -> None:
        self.taken = 0
        self._on_error = on_error
        self._decoded = _Jobs()
        inferred = _Jobs()
        self._results = _Results()

        def prepared(job: Job) -> Job:
            return replace(job, state=prepare(job.image))

        def advanced(job: Job) -> Job:
            return replace(job, state=infer(prepare(job.image) if source.live else job.state))

        # The newest image of a live source is not chosen, and so not prepared, before the model is free.
        early = None if source.live else prepared
        self._threads = [
            _thread("pem-decode", _decode, source, early, self._decoded),
            _thread("pem-infer", _work, advanced, self._decoded, inferred, _limit(source)),
            _thread("pem-merge", _work, finish, inferred, self._results),
        ]
        self._finalizer = weakref.finalize(self, _shut, (self._decoded, inferred, self._results), self._threads)

    @property
    def dropped(self) -> int:
        """How many images of a live source were replaced by newer ones before the model was free."""
        return self._decoded.replaced

    def __next__(self) -> Result:
        """Return the next result. Raises InputError, BackendError."""
        try:
            if self._threads[0].ident is None and self._finalizer.alive:
                for thread in self._threads:
                    thread.start()
            result = self._result()
        except Closed:
            raise StopIteration from None
        except BaseException:
            self.close()
            raise
        self.taken += 1
        return result

    def close(self) -> None:
        """End the threads; no more results come. May be called more than once."""
        self._finalizer()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _result(self) -> Result:
        while isinstance(item := self._results.get(), _Failure):
            if item is _END:
                raise StopIteration  # a new one: what is raised keeps the frames that it passes, and all they hold
            if self._on_error is None or not isinstance(item.error, InputError):
                raise item.error
            self._on_error(item.error)
            if item.final:
                raise StopIteration
        return item


def _decode(source: Source, prepare: Callable[[Job], Job] | None, output: _Jobs) -> None:
    with suppress(Closed):
        output.put(_decode_all(source, prepare, output))


def _decode_all(source: Source, prepare: Callable[[Job], Job] | None, output: _Jobs) -> _Failure:
    """Put every image into ``output``, prepared if there is ``prepare``, and return what comes after the last one."""
    try:
        for frame in source:
            job = _read(frame)
            output.put(prepare(job) if prepare and isinstance(job, Job) else job, replace=source.live)
    except Closed:
        raise
    except BaseException as error:
        return _Failure(error, final=True)
    return _END


def _read(frame: Frame) -> Job | _Failure:
    milliseconds: dict[str, float] = {}
    try:
        with timed(milliseconds, "decode"):
            image = frame.read()
    except InputError as error:
        return _Failure(error, final=False)
    milliseconds["decode"] += frame.milliseconds
    return Job(frame.name, image, milliseconds, state=None)


def _work(
    stage: Callable[[Job], Done],
    given: _Jobs,
    output: HandoffQueue[Done | _Failure],
    limit: tuple[float, InputError] | None = None,
) -> None:
    """Put every item through ``stage``. ``limit`` is how many seconds to wait for one, and the error after that."""
    with suppress(Closed):
        final = False
        while not final:
            item = _next(given, limit)
            done = item if isinstance(item, _Failure) else _attempt(stage, item)
            output.put(done)
            final = isinstance(done, _Failure) and done.final


def _next(given: _Jobs, limit: tuple[float, InputError] | None) -> Job | _Failure:
    if limit is None:
        return given.get()
    try:
        return given.get(limit[0])
    except TimeoutError:
        return _Failure(limit[1], final=True)


def _attempt(stage: Callable[[Job], Done], job: Job) -> Done | _Failure:
    try:
        return stage(job)
    except BaseException as error:
        return _Failure(error, final=True)


def _limit(source: Source) -> tuple[float, InputError] | None:
    if not isinstance(source, Footage) or source.timeout is None:
        return None
    cure = "see whether it still runs, or allow more seconds with --timeout"
    return source.timeout, InputError(f"{source.name} gave no image for {source.timeout:g} s: {cure}")


def _thread(name: str, work: Callable[..., None], *arguments: object) -> Thread:
    """Return a thread that ends with the interpreter even if a C library holds it."""
    return Thread(target=work, name=name, args=arguments, daemon=True)


def _shut(queues: Sequence[_Jobs | _Results], threads: Sequence[Thread]) -> None:
    for queue in queues:
        queue.close()
    for thread, seconds in zip(threads, (_SOURCE_ENDS, _MODEL_ENDS, _MODEL_ENDS), strict=True):
        if thread.ident is not None and thread is not current_thread():
            thread.join(seconds)
