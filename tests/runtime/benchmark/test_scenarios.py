"""Scenarios ask an artifact as their names say, and count what comes back."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime import Segmenter
from pem_edge.runtime.artifacts.manifest import InputSpec, Range, Thresholds
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
from pem_edge.runtime.benchmark.measures import scenarios
from pem_edge.runtime.benchmark.measures.decoded_sources import FEWEST, InMemory, PacedCamera
from pem_edge.runtime.benchmark.options import Options
from pem_edge.runtime.benchmark.rounds import Subject
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference.paired_pipeline import PairedPipeline
from pem_edge.runtime.inference.stream import Stream

OPTIONS = Options(scenario_seconds=0.2, streams=3, camera_fps=50)
Builder = Callable[..., Path]


class Slow(Segmenter):
    """Takes at least a tenth of a second for an image."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__(segmenter.backend, segmenter.thresholds)
        infer = self._pipeline.infer

        def slowly(batch: Sequence[Any], thresholds: Thresholds) -> Any:
            threading.Event().wait(0.1)
            return infer(batch, thresholds)

        self._pipeline.infer = slowly  # type: ignore[method-assign]


@pytest.fixture
def segmenter(tiny: Path) -> Segmenter:
    return runtime.load(tiny, "onnxruntime", threads=1)


def test_as_many_images_as_fit_but_some_at_least(flag: NDArray[np.uint8]) -> None:
    assert [frame.name for frame in InMemory([flag], 0)] == [str(number) for number in range(FEWEST)]
    assert len(list(InMemory([flag], 0.05))) > FEWEST


def test_every_caller_is_served(segmenter: Segmenter, flag: NDArray[np.uint8]) -> None:
    found = scenarios.multi_stream(segmenter, [flag], OPTIONS)
    assert found.streams == 3
    assert found.latency.samples >= 3 * FEWEST
    assert found.fps > 0


def test_an_error_of_a_caller_is_the_scenarios(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="expected"):
        scenarios.multi_stream(segmenter, [np.zeros((0, 4, 3), np.uint8)], OPTIONS)


def test_offline_without_batches_streams(segmenter: Segmenter, flag: NDArray[np.uint8]) -> None:
    found = scenarios.offline(segmenter, [flag], OPTIONS)
    assert (found.batch, found.images >= FEWEST) == (1, True)


def test_offline_streams_two_images_at_once_and_does_not_count_their_preparation(
    tiny: Path, flag: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, run = OnnxRuntime.stream_pipeline, OnnxRuntime._run
    prepared: list[bool] = []
    threads: list[object] = []

    def note_preparation(self: OnnxRuntime) -> PairedPipeline | None:
        prepared.append(self._half is not None)
        return prepare(self)

    def note_threads(self: OnnxRuntime, images: NDArray[np.uint8]) -> Any:  # Any: whatever a run returns
        threads.append(self.settings()["threads"])
        return run(self, images)

    monkeypatch.setattr(OnnxRuntime, "stream_pipeline", note_preparation)
    monkeypatch.setattr(OnnxRuntime, "_run", note_threads)
    with runtime.load(tiny, "onnxruntime", threads=2) as loaded:
        found = scenarios.offline(loaded, [flag], replace(OPTIONS, scenario_seconds=0))
    assert prepared == [False, True], "a stream that prepares, and the one that counts"
    assert set(threads) == {1}, "half of the threads each"
    assert (found.batch, found.images) == (1, scenarios._FEWEST_AT_ONCE)
    assert len(threads) > found.images


@pytest.mark.parametrize(
    ("spec", "batch"),
    [
        (InputSpec(height=64, width=96, batch=3), 3),
        (InputSpec(height=64, width=96, dynamic_batch=Range(1, 1, 3)), 1),
        (InputSpec(height=64, width=96, dynamic_batch=Range(2, 2, 4)), 2),
    ],
)
def test_offline_takes_the_batches_of_lists(
    build: Builder, flag: NDArray[np.uint8], spec: InputSpec, batch: int
) -> None:
    with runtime.load(build(spec), "onnxruntime", threads=1) as segmenter:
        found = scenarios.offline(segmenter, [flag], OPTIONS)
        assert (found.batch, found.images % batch) == (batch, 0)
        assert found.images >= FEWEST


def test_all_artifacts_and_scenarios_take_turns(tiny: Path, flag: NDArray[np.uint8], tmp_path: Path) -> None:
    diary: list[str] = []

    class Noting(Segmenter):
        def __init__(self, name: str) -> None:
            loaded = runtime.load(tiny, "onnxruntime", threads=1)
            super().__init__(loaded.backend, loaded.thresholds)
            self._name = name

        def __call__(self, *images: Any, **options: Any) -> Any:  # Any: whatever a Segmenter takes and returns
            diary.append(self._name + ("1" if threading.current_thread() is threading.main_thread() else "m"))
            return super().__call__(*images, **options)

        def stream(self, *source: Any, **options: Any) -> Stream:  # Any: whatever a Segmenter takes
            diary.append(self._name + "c")
            return super().stream(*source, **options)

    picture = tmp_path / "flag.png"
    cv2.imwrite(str(picture), flag)
    subjects = [Subject(name, str(tiny), partial(Noting, name), lambda _: [picture]) for name in "ab"]
    found = scenarios.measure(subjects, replace(OPTIONS, scenario_seconds=0, scenarios=("multi-stream", "camera")),
                              lambda _: None)  # fmt: skip
    turns = re.sub(r"(.)1(?=\1[mc])", "", "".join(turn for turn, _ in groupby(diary)))  # without the call before each
    assert turns.startswith("a1b1ambmacbc" + "bcac"), "every second turn goes backwards"
    assert turns.count("b1") == scenarios.TURNS
    for each in found:
        assert each.single_stream.samples == scenarios.TURNS * FEWEST
        assert each.offline is None
        assert each.multi_stream
        assert each.multi_stream.latency.samples == scenarios.TURNS * OPTIONS.streams * FEWEST
        assert len(each.multi_stream.turns) == scenarios.TURNS
        assert min(each.multi_stream.turns) <= each.multi_stream.fps <= max(each.multi_stream.turns)
        assert each.camera
        assert each.camera.frames == scenarios.TURNS * FEWEST == each.camera.dropped + each.camera.age.samples


def test_offline_turns_are_one_rate(segmenter: Segmenter, flag: NDArray[np.uint8], tiny: Path, tmp_path: Path) -> None:
    picture = tmp_path / "flag.png"
    cv2.imwrite(str(picture), flag)
    subject = Subject("a", str(tiny), lambda: segmenter, lambda _: [picture])
    (found,) = scenarios.measure([subject], replace(OPTIONS, scenarios=("offline",)), lambda _: None)
    assert found.offline
    assert (len(found.offline.turns), found.offline.images >= scenarios.TURNS * FEWEST) == (scenarios.TURNS, True)
    assert min(found.offline.turns) <= found.offline.fps <= max(found.offline.turns)


def test_a_camera_that_is_fast_enough_to_follow_loses_next_to_nothing(
    segmenter: Segmenter, flag: NDArray[np.uint8]
) -> None:
    found = scenarios.camera(segmenter, [flag], Options(scenario_seconds=1, camera_fps=5))
    assert found.frames == FEWEST
    assert found.age.samples + found.dropped == found.frames
    assert found.age.minimum > 0


def test_a_camera_waits_for_nobody(segmenter: Segmenter, flag: NDArray[np.uint8]) -> None:
    found = scenarios.camera(Slow(segmenter), [flag], Options(scenario_seconds=1, camera_fps=50))
    assert found.frames == 50
    assert 1 <= found.age.samples <= 15
    assert found.dropped == 50 - found.age.samples
    assert found.age.minimum >= 100


def test_frames_that_nobody_fetches_are_skipped(flag: NDArray[np.uint8]) -> None:
    camera = PacedCamera([flag], fps=100, seconds=0.5)
    numbers = []
    for frame in camera:
        numbers.append(int(frame.name))
        threading.Event().wait(0.05)
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= 12
    assert numbers[-1] == camera.frames - 1
