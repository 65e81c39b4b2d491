"""Artifacts take turns, so that a machine that drifts, or others that use it, favor none."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say

_STEADY_WITHIN, _WINDOW, _MOST_WARMUP_SECONDS = 0.05, 5, 10.0
_MORE_ROUNDS = 0.25
_LOADED_ANEW_EVERY = 10
"""Rounds. Which pages of memory an artifact got makes it a percent or two slower for as long as it has them."""

_FEWEST_ROUNDS = 2  # that an interval can be estimated from
_REFERENCE_WORK_SHAPE = (1024, 1024, 3)  # with its result, 24 MB, more than most caches hold
_REFERENCE_WORK_REPEATS = 4


class Subject:
    """An artifact that is measured.

    Args:
        name: The name it has in reports.
        model: The path that it was given by.
        load: Loads it.
        pictures: Returns the pictures for an input.

    Raises:
        PemError: If the artifact cannot be loaded.
    """

    def __init__(
        self,
        name: str,
        model: str,
        load: Callable[[], Segmenter],
        pictures: Callable[[InputSpec], Sequence[Path]],
    ) -> None:
        self.name, self.model, self._load = name, model, load
        self.segmenter = load()
        self.pictures = pictures(self.segmenter.manifest.input)

    def load_anew(self) -> None:
        """Load the artifact once more, elsewhere in memory, then let go of the one before."""
        before, self.segmenter = self.segmenter, self._load()
        before.close()

    def close(self) -> None:
        """Let go of the loaded artifact."""
        self.segmenter.close()

    def turn(self, index: int) -> dict[str, float]:
        """Return milliseconds of each stage for a picture, and "total" from the outside."""
        start = time.perf_counter()
        result = self.segmenter(self.pictures[index % len(self.pictures)])
        return {**result.milliseconds, "total": 1000 * (time.perf_counter() - start)}


@dataclass(frozen=True)
class Rounds:
    """The times of all rounds.

    Attributes:
        stages: For each subject the milliseconds of each stage, one per round.
        reference_work: The milliseconds of the reference work, one per round.
        interrupted: Whether Ctrl-C came before all rounds were done.
    """

    stages: Sequence[Mapping[str, Sequence[float]]]
    reference_work: Sequence[float]
    interrupted: bool = False


class ReferenceWork:
    """A fixed piece of work with arithmetic, memory traffic and all of OpenCV's threads in it."""

    def __init__(self) -> None:
        self._image = np.random.default_rng(0).random(_REFERENCE_WORK_SHAPE, np.float32)
        self._blurred = np.empty_like(self._image)
        self()

    def __call__(self) -> float:
        """Do the work, and return how many milliseconds it took."""
        start = time.perf_counter()
        for _ in range(_REFERENCE_WORK_REPEATS):
            cv2.GaussianBlur(self._image, (9, 9), 2.0, dst=self._blurred)
        return 1000 * (time.perf_counter() - start)


def measure(subjects: Sequence[Subject], options: Options, say: Say) -> Rounds:
    """Warm up, then measure in rounds, in each of which all subjects have a picture of one number, in shuffled order.

    Every few rounds all are loaded anew, so that chance at loading averages out and shows in how results vary. More
    rounds than ``options.rounds`` follow while the ratio of a "total" to the first's is not known well enough, up to
    ``options.most_rounds`` and for ``options.most_seconds`` in all. Ctrl-C ends the rounds; those that are complete are
    returned if there are enough to say anything.

    Raises:
        InputError: If a picture cannot be read.
        BackendError: If an artifact cannot be run.
        KeyboardInterrupt: If Ctrl-C came too early.
    """
    for subject in subjects:
        warm_up(subject.turn, options.warmup)
    order = random.Random(options.seed)
    taken = _Taken(len(subjects))
    reference_work = ReferenceWork()
    end = time.perf_counter() + options.most_seconds
    try:
        with undisturbed():
            while taken.count < options.rounds or (
                taken.count < options.most_rounds and time.perf_counter() < end and _undecided(taken, options)
            ):
                count = _next_batch(taken.count, options)
                say(f"round {taken.count + 1} to {taken.count + count}, {plural(len(subjects), 'artifact')}")
                for _ in range(count):
                    if taken.count and taken.count % _LOADED_ANEW_EVERY == 0:
                        _load_anew(subjects)
                    _round(subjects, order, reference_work, taken)
    except KeyboardInterrupt:
        if taken.count < _FEWEST_ROUNDS:
            raise
        return taken.complete(interrupted=True)
    return taken.complete(interrupted=False)


def warm_up(call: Callable[[int], Mapping[str, float]], least: int) -> None:
    """Call at least ``least`` times, then until the best of the last few is hardly better than the best before."""
    totals: list[float] = []
    end = time.perf_counter() + _MOST_WARMUP_SECONDS
    while len(totals) < least or (not _steady(totals) and time.perf_counter() < end):
        totals.append(call(len(totals))["total"])


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Python's garbage collector from running within the block."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Taken:
    def __init__(self, subjects: int) -> None:
        self.stages: list[dict[str, list[float]]] = [{} for _ in range(subjects)]
        self.reference_work: list[float] = []

    @property
    def count(self) -> int:
        """The number of rounds that are complete."""
        return len(self.reference_work)

    def complete(self, *, interrupted: bool) -> Rounds:
        """Return the rounds that are complete."""
        stages = [{stage: values[: self.count] for stage, values in each.items()} for each in self.stages]
        return Rounds(stages, self.reference_work, interrupted)


def _round(subjects: Sequence[Subject], order: random.Random, reference_work: ReferenceWork, taken: _Taken) -> None:
    index = taken.count
    for number in order.sample(range(len(subjects)), len(subjects)):
        subjects[number].turn(index)  # brings its weights back into the caches, and sends others' threads to sleep
        for stage, value in subjects[number].turn(index).items():
            taken.stages[number].setdefault(stage, []).append(value)
    reference_work()
    taken.reference_work.append(reference_work())


def _load_anew(subjects: Sequence[Subject]) -> None:
    for subject in subjects:
        subject.load_anew()
    for subject in subjects:
        subject.turn(0)


def _next_batch(done: int, options: Options) -> int:
    if done < options.rounds:
        return options.rounds - done
    return min(max(1, int(done * _MORE_ROUNDS)), options.most_rounds - done)


def _undecided(taken: _Taken, options: Options) -> bool:
    first, *others = (stages["total"] for stages in taken.stages)
    ratios = (statistics.ratio_in_rounds(values, first, options.noise) for values in others)
    return any(ratio.high - ratio.low > 2 * options.noise.width * ratio.estimate for ratio in ratios)


def _steady(totals: Sequence[float]) -> bool:
    if len(totals) < 2 * _WINDOW:
        return False
    return min(totals[-_WINDOW:]) > (1 - _STEADY_WITHIN) * min(totals[:-_WINDOW])
