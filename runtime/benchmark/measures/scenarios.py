"""Measures an artifact in each scenario: one image at a time, several callers, all images at once, and a camera.

The first three are MLPerf's (https://arxiv.org/abs/1911.02549), without its rules for submissions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from pem_edge.runtime import images
from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.measures.decoded_sources import FEWEST, Image, InMemory, PacedCamera
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.rounds import Subject, undisturbed
from pem_edge.runtime.benchmark.schema import Camera, MultiStream, Offline, Scenarios
from pem_edge.runtime.inference import batches
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.progress import Say

Found = TypeVar("Found")


def measure(subject: Subject, options: Options, say: Say) -> Scenarios:
    """Measure all scenarios of ``options`` on decoded pictures. Raises InputError, BackendError."""
    pictures = [images.read(path) for path in subject.pictures]

    def if_asked(name: str, scenario: Callable[[Segmenter, Sequence[Image], Options], Found]) -> Found | None:
        if name not in options.scenarios:
            return None
        say(f"{subject.name}: {name}")
        with undisturbed():
            return scenario(subject.segmenter, pictures, options)

    say(f"{subject.name}: single stream")
    with undisturbed():
        single = _latencies(subject.segmenter, pictures, options.scenario_seconds)
    return Scenarios(
        single_stream=statistics.times(single, options.noise),
        multi_stream=if_asked("multi-stream", multi_stream),
        offline=if_asked("offline", offline),
        camera=if_asked("camera", camera),
    )


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
    return MultiStream(
        streams=options.streams, fps=len(latencies) / wall, latency=statistics.times(latencies, options.noise)
    )


def offline(segmenter: Segmenter, pictures: Sequence[Image], options: Options) -> Offline:
    """Segment as many images as possible: in lists of the largest batch, or with `stream` if the batch is 1."""
    batch = batches.largest(segmenter.manifest.input)
    start = time.perf_counter()
    count = 0
    if batch == 1:
        count = sum(1 for _ in segmenter.stream(InMemory(pictures, options.scenario_seconds)))
    else:
        while count < FEWEST or time.perf_counter() - start < options.scenario_seconds:
            segmenter([pictures[(count + number) % len(pictures)] for number in range(batch)])
            count += batch
    return Offline(batch=batch, fps=count / (time.perf_counter() - start), images=count)


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


def _latencies(segmenter: Segmenter, pictures: Sequence[Image], seconds: float) -> list[float]:
    """Return the milliseconds of each call, one after another."""
    found = []
    for frame in InMemory(pictures, seconds):
        start = time.perf_counter()
        segmenter(frame.read())
        found.append(1000 * (time.perf_counter() - start))
    return found
