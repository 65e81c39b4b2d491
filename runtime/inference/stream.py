"""The stages of neighbouring images at once: one is decoded while the one before it is segmented, and so on.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.handoff_queue import Closed, Handover
from pem_edge.runtime.inference.pipeline import timed
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.sources import Footage, Frame, Source

_SOURCE_ENDS, _MODEL_ENDS = 1.0, 10.0  # seconds that closing waits: a source may be stuck, a run of the model goes on


@dataclass(frozen=True, eq=False)
class Job:
    """An image under way: RGB uint8 (H, W, 3), ``milliseconds`` of its decoding, and what the last stage returned."""

    name: str
    image: NDArray[np.uint8]
    milliseconds: dict[str, float]
    state: Any


@dataclass(frozen=True, eq=False)
class _Failure:
    """In the place of a result. None follows if it is ``final``."""

    error: BaseException
    final: bool


_END = _Failure(StopIteration(), final=True)

Stage = Callable[[Any], Any]
_Items = Handover[Any]  # of Job, Result or _Failure


class Stream(Iterator[Result]):
    """The results of a source's images, in order. Threads work for it from the first one on.

    They end with the source, with an error, with `close` (or the end of a ``with`` block), and when nobody holds the
    stream any more. What it raises ends it, see `Segmenter.stream`. ``taken`` is how many results it gave.
    """

    def __init__(
        self,
        source: Source,
        prepare: Stage,
        infer: Stage,
        finish: Callable[[Job], Result],
        on_error: Callable[[InputError], None] | None,
    ) -> None:
        self.taken = 0
        self._on_error = on_error
        self._decoded, inferred, self._results = _Items(), _Items(), _Items()
        early, late = prepare, infer
        if source.live:  # the newest image is not chosen before the model is free
            early, late = _unchanged, _in_turn(prepare, infer)
        self._threads = [
            _thread("pem-decode", _decode, source, early, self._decoded),
            _thread("pem-infer", _work, _advancing(late), self._decoded, inferred, _limit(source)),
            _thread("pem-merge", _work, finish, inferred, self._results),
        ]
        self._finalizer = weakref.finalize(self, _shut, (self._decoded, inferred, self._results), self._threads)

    @property
    def dropped(self) -> int:
        """How many images of a live source were replaced by newer ones before the model was free."""
        return self._decoded.replaced

    def __next__(self) -> Result:
        """Raises InputError, BackendError."""
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
        result: Result = item
        return result


def _decode(source: Source, prepare: Stage, output: _Items) -> None:
    with suppress(Closed):
        output.put(_decode_all(source, prepare, output))


def _decode_all(source: Source, prepare: Stage, output: _Items) -> _Failure:
    """Returns what comes after the last image."""
    try:
        for frame in source:
            output.put(_read(frame, prepare), replace=source.live)
    except Closed:
        raise
    except BaseException as error:
        return _Failure(error, final=True)
    return _END


def _read(frame: Frame, prepare: Stage) -> Job | _Failure:
    milliseconds: dict[str, float] = {}
    try:
        with timed(milliseconds, "decode"):
            image = frame.read()
    except InputError as error:
        return _Failure(error, final=False)
    milliseconds["decode"] += frame.milliseconds
    return Job(frame.name, image, milliseconds, prepare(image))


def _work(stage: Stage, given: _Items, output: _Items, limit: tuple[float, InputError] | None = None) -> None:
    """Put every item through ``stage``. ``limit`` is how many seconds to wait for one, and the error after that."""
    with suppress(Closed):
        final = False
        while not final:
            item = _next(given, limit)
            done = item if isinstance(item, _Failure) else _attempt(stage, item)
            output.put(done)
            final = isinstance(done, _Failure) and done.final


def _next(given: _Items, limit: tuple[float, InputError] | None) -> Any:
    if limit is None:
        return given.get()
    try:
        return given.get(limit[0])
    except TimeoutError:
        return _Failure(limit[1], final=True)


def _attempt(stage: Stage, item: Any) -> Any:
    try:
        return stage(item)
    except BaseException as error:
        return _Failure(error, final=True)


def _limit(source: Source) -> tuple[float, InputError] | None:
    if not isinstance(source, Footage) or source.timeout is None:
        return None
    cure = "see whether it still runs, or allow more seconds with --timeout"
    return source.timeout, InputError(f"{source.name} gave no image for {source.timeout:g} s: {cure}")


def _advancing(stage: Stage) -> Callable[[Job], Job]:
    return lambda job: replace(job, state=stage(job.state))


def _in_turn(first: Stage, second: Stage) -> Stage:
    return lambda state: second(first(state))


def _unchanged(state: Any) -> Any:
    return state


def _thread(name: str, work: Callable[..., None], *arguments: object) -> Thread:
    """One that ends with the interpreter even if a C library holds it."""
    return Thread(target=work, name=name, args=arguments, daemon=True)


def _shut(handovers: Sequence[_Items], threads: Sequence[Thread]) -> None:
    for handover in handovers:
        handover.close()
    for thread, seconds in zip(threads, (_SOURCE_ENDS, _MODEL_ENDS, _MODEL_ENDS), strict=True):
        if thread.ident is not None and thread is not current_thread():
            thread.join(seconds)
