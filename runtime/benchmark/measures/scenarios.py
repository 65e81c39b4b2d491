"""Measures an artifact in each scenario: one image at a time, several callers, all images at once, and a camera.

The first three are MLPerf's (https://arxiv.org/abs/1911.02549), without its rules for submissions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeAlias, TypeVar

from pem_edge.runtime import images
from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.measures.decoded_sources import Image, InMemory, PacedCamera
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.rounds import Subject, undisturbed
from pem_edge.runtime.benchmark.schema import Camera, MultiStream, Offline, Scenarios, Times
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say

TURNS = 4
"""Turns of each artifact in a scenario: what slows the machine down for a while shall favor none of either."""

_FEWEST_AT_ONCE = 8
"""Images of a turn of "offline": of fewer, the last, which is worked on alone, would weigh too much."""

_FILLING = 2
"""Images of a stream that are worked on before its stages, or two of its images, run at the same time."""

Found = TypeVar("Found")
Measure = Callable[[Segmenter, Sequence[Image], Options], Found]


def measure(subjects: Sequence[Subject], options: Options, say: Say) -> list[Scenarios]:
    """Measure all scenarios of ``options`` on decoded pictures, with all scenarios and all subjects taking turns.

    Raises:
        InputError: If a picture cannot be read.
        BackendError: If an artifact cannot be run.
    """
    count = len(subjects)
    single = _Scenario("single-stream", _one_after_another, _joined, count)
    several = _Scenario("multi-stream", multi_stream, _join_streams, count)
    at_once = _Scenario("offline", offline, _join_offline, count)
    live = _Scenario("camera", camera, _join_cameras, count)
    asked = [single, *(each for each in (several, at_once, live) if each.name in options.scenarios)]
    say(f"{', '.join(each.name for each in asked)}; {plural(count, 'artifact')} in turns")
    _take_turns(asked, subjects, options)
    return [
        Scenarios(
            single_stream=_joined(single.turns[index], options),
            multi_stream=several.joined(index, options),
            offline=at_once.joined(index, options),
            camera=live.joined(index, options),
        )
        for index in range(count)
    ]


class _Scenario(Generic[Found]):
    """A scenario, with what was found in each turn of each of ``count`` subjects."""

    def __init__(
        self, name: str, measure: Measure[Found], join: Callable[[list[Found], Options], Found], count: int
    ) -> None:
        self.name, self._measure, self._join = name, measure, join
        self.turns: list[list[Found]] = [[] for _ in range(count)]

    def take_turn(self, index: int, segmenter: Segmenter, pictures: Sequence[Image], options: Options) -> None:
        segmenter(pictures[0])  # brings its weights back into the caches
        self.turns[index].append(self._measure(segmenter, pictures, options))

    def joined(self, index: int, options: Options) -> Found | None:
        """Return a subject's turns as one; None if there were none."""
        return self._join(self.turns[index], options) if self.turns[index] else None


_AnyScenario: TypeAlias = _Scenario[Any]  # only the scenario itself knows what it finds


def _take_turns(scenarios: Sequence[_AnyScenario], subjects: Sequence[Subject], options: Options) -> None:
    """Give each subject its turns in each scenario, every second time backwards, so that steady drift favors none."""
    pictures = [[images.read(path) for path in subject.pictures] for subject in subjects]
    turn = replace(options, scenario_seconds=options.scenario_seconds / TURNS)
    with undisturbed():
        for number in range(TURNS):
            direction = 1 if number % 2 == 0 else -1
            for scenario in scenarios[::direction]:
                for index in range(len(subjects))[::direction]:
                    scenario.take_turn(index, subjects[index].segmenter, pictures[index], turn)


def multi_stream(segmenter: Segmenter, pictures: Sequence[Image], options: Options) -> MultiStream:
    """Let ``options.streams`` threads each segment an image as soon as it has the result of the one before."""
    found: list[list[float]] = [[] for _ in range(options.streams)]
    errors: list[BaseException] = []

    def call(number: int) -> None:
        try:
            found[number] = _latencies(segmenter, pictures, options.scenario_seconds)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(options.streams)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - start
    if errors:
        raise errors[0]
    latencies = [value for values in found for value in values]
    fps = len(latencies) / wall
    return MultiStream(
        streams=options.streams, fps=fps, latency=statistics.times(latencies, options.noise), turns=(fps,)
    )


def offline(segmenter: Segmenter, pictures: Sequence[Image], options: Options) -> Offline:
    """Segment as many images as possible: in lists of the segmenter's batch, or with `stream` if that is 1."""
    segment = _in_a_stream if segmenter.batch == 1 else _in_lists
    count, fps = segment(segmenter, pictures, options.scenario_seconds)
    return Offline(batch=segmenter.batch, fps=fps, images=count, turns=(fps,))


def _in_a_stream(segmenter: Segmenter, pictures: Sequence[Image], seconds: float) -> tuple[int, float]:
    """Return how many images a stream segmented, and at which rate once it was filled, as long ones are."""
    with segmenter.stream(InMemory(pictures, 0)) as stream:
        next(stream)  # a backend prepares its first stream
    ends = [time.perf_counter() for _ in segmenter.stream(InMemory(pictures, seconds, _FEWEST_AT_ONCE))]
    return len(ends), (len(ends) - _FILLING) / (ends[-1] - ends[_FILLING - 1])


def _in_lists(segmenter: Segmenter, pictures: Sequence[Image], seconds: float) -> tuple[int, float]:
    """Return how many images were segmented, and at which rate."""
    count, start = 0, time.perf_counter()
    while count < _FEWEST_AT_ONCE or time.perf_counter() < start + seconds:
        segmenter([pictures[(count + number) % len(pictures)] for number in range(segmenter.batch)])
        count += segmenter.batch
    return count, count / (time.perf_counter() - start)


def camera(segmenter: Segmenter, pictures: Sequence[Image], options: Options) -> Camera:
    """Segment a camera's frames in `stream`; a result's age is the time since its frame was taken."""
    source = PacedCamera(pictures, options.camera_fps, options.scenario_seconds)
    results = segmenter.stream(source)
    ages = [1000 * (time.perf_counter() - source.captured(int(result.name))) for result in results]
    return Camera(
        fps=options.camera_fps,
        frames=source.frames,
        dropped=source.frames - len(ages),
        age=statistics.times(ages, options.noise),
    )


def _one_after_another(segmenter: Segmenter, pictures: Sequence[Image], options: Options) -> Times:
    return statistics.times(_latencies(segmenter, pictures, options.scenario_seconds), options.noise)


def _latencies(segmenter: Segmenter, pictures: Sequence[Image], seconds: float) -> list[float]:
    """Return the milliseconds of each call, one after another."""
    found = []
    for frame in InMemory(pictures, seconds):
        start = time.perf_counter()
        segmenter(frame.read())
        found.append(1000 * (time.perf_counter() - start))
    return found


def _join_streams(turns: list[MultiStream], options: Options) -> MultiStream:
    latency = _joined([turn.latency for turn in turns], options)
    seconds = sum(turn.latency.samples / turn.fps for turn in turns)
    fps = tuple(turn.fps for turn in turns)
    return MultiStream(streams=turns[0].streams, fps=latency.samples / seconds, latency=latency, turns=fps)


def _join_offline(turns: list[Offline], _: Options) -> Offline:
    count, seconds = sum(turn.images for turn in turns), sum(turn.images / turn.fps for turn in turns)
    return Offline(batch=turns[0].batch, fps=count / seconds, images=count, turns=tuple(turn.fps for turn in turns))


def _join_cameras(turns: list[Camera], options: Options) -> Camera:
    return Camera(
        fps=turns[0].fps,
        frames=sum(turn.frames for turn in turns),
        dropped=sum(turn.dropped for turn in turns),
        age=_joined([turn.age for turn in turns], options),
    )


def _joined(parts: list[Times], options: Options) -> Times:
    return statistics.times([value for part in parts for value in part.values], options.noise)
