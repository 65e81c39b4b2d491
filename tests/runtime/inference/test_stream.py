"""A stream's stages overlap, keep the order, hold few images, and end with whoever ends them."""

from __future__ import annotations

import gc
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.errors import BackendError, InputError
from pem_edge.runtime.inference.stream import Stream
from tests.helpers.processes import started
from tests.runtime.helpers.footage import COLORS, Made, image

LABELS = ["red", "green", "blue", "white"]
IN_FLIGHT = 7  # each of three threads holds one and has handed on another, and the caller has one


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("pem-"))


@pytest.fixture(autouse=True)
def _no_thread_survives() -> Iterator[None]:
    yield
    gc.collect()
    assert threads() == []


@pytest.fixture
def segmenter(tiny: Path) -> Iterator[runtime.Segmenter]:
    with runtime.load(tiny, threads=1) as loaded:  # an odd number of threads is never divided between two images
        yield loaded


def few(count: int) -> Made:
    return Made(lambda index: image(index) if index < count else None)


def endless() -> Made:
    return Made(image)


def test_order_names_pixels_and_times(segmenter: runtime.Segmenter) -> None:
    results = list(segmenter.stream(few(40)))
    assert [result.name for result in results] == [f"{index:06d}" for index in range(40)]
    for index, result in enumerate(results):
        assert result.segments[0].label == LABELS[index % len(COLORS)]
        np.testing.assert_array_equal(result.image, image(index))
    assert list(results[0].milliseconds) == ["decode", "preprocess", "inference", "postprocess"]
    assert threads() == []


def test_the_results_are_those_of_single_calls(segmenter: runtime.Segmenter, flag: NDArray[np.uint8]) -> None:
    pictures = [np.roll(flag, 8 * index, axis=1) for index in range(12)]
    source = Made(lambda index: pictures[index] if index < len(pictures) else None)
    for picture, result in zip(pictures, segmenter.stream(source), strict=True):
        np.testing.assert_array_equal(result.panoptic, segmenter(picture).panoptic)


def test_neighbors_are_worked_on_at_the_same_time(segmenter: runtime.Segmenter, monkeypatch: Any) -> None:
    """Every stage waits for the others to be busy with other images; one after another they would wait in vain."""
    meeting = threading.Barrier(3)

    def make(index: int) -> NDArray[np.uint8] | None:
        if index == 2:
            meeting.wait(20)
        return image(index) if index < 6 else None

    pipeline = segmenter._pipeline
    infer, merge, infers, merges = pipeline.infer, pipeline.merge, itertools.count(), itertools.count()

    def slow_infer(*arguments: Any) -> Any:
        if next(infers) == 1:
            meeting.wait(20)
        return infer(*arguments)

    def slow_merge(*arguments: Any) -> Any:
        if next(merges) == 0:
            meeting.wait(20)
        return merge(*arguments)

    monkeypatch.setattr(pipeline, "infer", slow_infer)
    monkeypatch.setattr(pipeline, "merge", slow_merge)
    assert len(list(segmenter.stream(Made(make)))) == 6


def test_a_slow_reader_makes_the_source_wait(segmenter: runtime.Segmenter) -> None:
    source = endless()
    with segmenter.stream(source) as stream:
        for taken in range(1, 4):
            next(stream)
            time.sleep(0.2)
            assert source.asked <= taken + IN_FLIGHT
    assert source.ended


def test_of_a_live_source_the_newest_image_is_taken(segmenter: runtime.Segmenter) -> None:
    hurried = threading.Event()

    def make(index: int) -> NDArray[np.uint8] | None:
        if index == 100:
            hurried.wait(20)
        return image(index) if index < 101 else None

    names: list[int] = []
    with segmenter.stream(source := Made(make, live=True)) as stream:
        for result in stream:
            names.append(int(result.name))
            while source.asked < 100:
                time.sleep(0.01)
            hurried.set()
    assert names == sorted(names)
    assert names[-1] == 100, "the last one is not lost"
    assert len(names) + stream.dropped == 101
    assert stream.dropped > 80


def test_an_image_of_a_live_source_is_taken_when_one_is_left_ahead_of_it(
    segmenter: runtime.Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that runs after `infer` has returned, as on a GPU, has an image to follow, and no queue of old ones."""
    source = Made(image, live=True)
    pipeline, taken, done = segmenter._pipeline, threading.Semaphore(0), threading.Semaphore(0)
    infer, merge = pipeline.infer, pipeline.merge

    def start(*arguments: Any) -> Any:
        taken.release()
        return infer(*arguments)

    def wait_and_merge(*arguments: Any) -> Any:
        done.acquire(timeout=20)
        return merge(*arguments)

    monkeypatch.setattr(pipeline, "infer", start)
    monkeypatch.setattr(pipeline, "merge", wait_and_merge)
    with ThreadPoolExecutor(1) as caller, segmenter.stream(source) as stream:
        results = caller.submit(lambda: list(itertools.islice(stream, 3)))
        running, following = taken.acquire(timeout=20), taken.acquire(timeout=20)
        third = taken.acquire(timeout=0.3)
        newest = source.asked - 2  # the one that is now decoded may not have replaced it yet
        done.release(9)
        assert (running, following, third) == (True, True, False)
        assert int(results.result(20)[2].name) >= newest


def test_of_a_recording_nothing_is_dropped(segmenter: runtime.Segmenter) -> None:
    with segmenter.stream(few(50)) as stream:
        time.sleep(0.2)
        assert len(list(stream)) == 50
        assert stream.dropped == 0


@pytest.mark.parametrize("live", [False, True])
def test_a_number_of_results_may_be_asked_for(segmenter: runtime.Segmenter, live: bool) -> None:
    source = Made(image, live=live)
    stream = segmenter.stream(source, frames=5)
    assert (len(list(stream)), list(stream), stream.taken) == (5, [], 5)
    assert (source.ended, threads()) == (True, [])
    assert len(list(segmenter.stream(few(3), frames=5))) == 3


@pytest.mark.parametrize("frames", [None, 5])
def test_several_threads_may_read_a_stream(segmenter: runtime.Segmenter, frames: int | None) -> None:
    """All of them begin with it at once, each result goes to one of them, and there are no more than were asked for."""
    for _ in range(10):
        stream, together = segmenter.stream(source := few(9), frames=frames), threading.Barrier(8)

        def read(_reader: int, stream: Stream = stream, together: threading.Barrier = together) -> list[str]:
            together.wait(20)
            return [result.name for result in stream]

        with ThreadPoolExecutor(8) as readers:
            names = sorted(itertools.chain.from_iterable(readers.map(read, range(8))))
        assert names == [f"{index:06d}" for index in range(frames or 9)]
        assert (stream.taken, list(stream), source.ended, threads()) == (frames or 9, [], True, [])


def test_a_source_that_gives_nothing_is_an_error_with_a_cure(segmenter: runtime.Segmenter) -> None:
    waiting = threading.Event()

    def make(index: int) -> NDArray[np.uint8] | None:
        if index == 3:
            waiting.wait(20)
        return image(index) if index < 3 else None

    names: list[str] = []
    with pytest.raises(InputError, match=r"made gave no image for 0\.2 s: .*give a longer timeout"):
        names.extend(result.name for result in segmenter.stream(Made(make, timeout=0.2)))
    left_out: list[InputError] = []
    source = Made(make, timeout=0.2)
    assert len(list(segmenter.stream(source, left_out.append))) == 3
    assert len(left_out) == 1
    waiting.set()
    for _ in range(200):
        if not threads():
            break
        time.sleep(0.02)


def test_errors_keep_their_place(segmenter: runtime.Segmenter) -> None:
    def make(index: int) -> NDArray[np.uint8] | InputError | None:
        return InputError("torn") if index == 2 else image(index) if index < 5 else None

    stream = segmenter.stream(Made(make))
    assert [next(stream).name for _ in range(2)] == ["000000", "000001"]
    with pytest.raises(InputError, match="torn"):
        next(stream)
    assert list(stream) == []
    left_out: list[InputError] = []
    names = [result.name for result in segmenter.stream(Made(make), left_out.append)]
    assert (names, len(left_out)) == (["000000", "000001", "000003", "000004"], 1)


def test_an_error_of_the_source_comes_after_the_results_before_it(segmenter: runtime.Segmenter) -> None:
    def make(index: int) -> NDArray[np.uint8]:
        if index == 5:
            raise InputError("the camera was lost")
        return image(index)

    seen: list[runtime.Result] = []
    with pytest.raises(InputError, match="the camera was lost"):
        seen.extend(segmenter.stream(Made(make)))
    seen.clear()
    left_out: list[InputError] = []
    assert len(list(segmenter.stream(Made(make), left_out.append))) == 5
    assert [str(error) for error in left_out] == ["the camera was lost"]


@pytest.mark.parametrize("stage", ["prepare", "infer", "merge"])
def test_an_error_in_any_stage_ends_everything(
    segmenter: runtime.Segmenter, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, calls = segmenter._pipeline, itertools.count()
    works = getattr(pipeline, stage)

    def fail(*arguments: Any) -> Any:
        if next(calls) == 3:
            raise BackendError("out of memory")
        return works(*arguments)

    monkeypatch.setattr(pipeline, stage, fail)
    source = endless()
    stream = segmenter.stream(source, on_error=lambda _error: pytest.fail("it is no error of the input"))
    assert [next(stream).name for _ in range(3)] == ["000000", "000001", "000002"]
    with pytest.raises(BackendError, match="out of memory"):
        next(stream)
    assert (source.ended, threads()) == (True, [])


def test_an_error_that_is_nobodys_fault_is_raised_too(segmenter: runtime.Segmenter) -> None:
    def make(_index: int) -> NDArray[np.uint8]:
        raise MemoryError

    with pytest.raises(MemoryError):
        next(segmenter.stream(Made(make), on_error=lambda _error: None))


def test_an_error_in_on_error_ends_everything(segmenter: runtime.Segmenter) -> None:
    def refuse(error: InputError) -> None:
        raise ValueError(str(error))

    with pytest.raises(ValueError, match="torn"):
        list(segmenter.stream(Made(lambda _index: InputError("torn")), refuse))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("way", ["close", "with", "abandon", "never used"])
def test_threads_end_with_the_stream(segmenter: runtime.Segmenter, way: str, live: bool) -> None:
    source = Made(image, live=live)
    stream = segmenter.stream(source)
    if way == "with":
        with stream:
            next(stream)
    elif way != "never used":
        next(stream)
        assert threads() == ["pem-decode", "pem-infer", "pem-merge"]
    if way == "close":
        stream.close()
        stream.close()
        assert list(stream) == []
    del stream
    assert threads() == []
    assert source.ended == (way != "never used")


_SCRIPT = """
import sys, threading, time
sys.path.insert(0, sys.argv[2])
from pem_edge import runtime
from tests.runtime.helpers.footage import Made, image

def make(index):
    if index == 3 and sys.argv[3] == "stuck":
        print("stuck", flush=True)
        threading.Event().wait()
    return image(index)

stream = runtime.load(sys.argv[1]).stream(Made(make))
for _ in range(2):
    next(stream)
if sys.argv[3] == "stuck":
    for result in stream: pass
print("done", flush=True)
"""


def script(tiny: Path, mode: str) -> AbstractContextManager[subprocess.Popen[str]]:
    root = Path(__file__).parents[3]
    return started([sys.executable, "-c", _SCRIPT, str(tiny), str(root), mode], cwd=root)


def test_the_interpreter_ends_while_a_stream_is_open(tiny: Path) -> None:
    with script(tiny, "open") as process:
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "done\n", "")


def test_ctrl_c_while_the_source_is_stuck(tiny: Path) -> None:
    with script(tiny, "stuck") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert error.splitlines()[-1] == "KeyboardInterrupt"
