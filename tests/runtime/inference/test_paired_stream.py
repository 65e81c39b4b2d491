"""Streams in ONNX Runtime work on two images at once, and are to the caller what other streams are."""

from __future__ import annotations

import itertools
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.backends.onnxruntime import OnnxRuntime
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference import stream as streams
from pem_edge.runtime.sources import RawFrames
from tests.runtime.helpers.footage import Made, image


@pytest.fixture
def segmenter(tiny: Path) -> Iterator[runtime.Segmenter]:
    with runtime.load(tiny, "onnxruntime", threads=2) as loaded:
        yield loaded


@pytest.fixture(autouse=True)
def _no_thread_survives() -> Iterator[None]:
    yield
    end = time.monotonic() + 20
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith("pem-")]:
        assert time.monotonic() < end, left
        time.sleep(0.01)


def few(count: int) -> Made:
    return Made(lambda index: image(index) if index < count else None)


def test_the_results_are_those_of_single_calls_in_their_order(
    segmenter: runtime.Segmenter, flag: NDArray[np.uint8]
) -> None:
    pictures = [np.roll(flag, 8 * index, axis=1) for index in range(40)]
    found = list(segmenter.stream(pictures))
    assert len(found) == len(pictures)
    for picture, result in zip(pictures, found, strict=True):
        np.testing.assert_array_equal(result.panoptic, segmenter(picture).panoptic)
        assert list(result.milliseconds) == ["decode", "preprocess", "inference", "postprocess"]


def test_two_runs_are_under_way_at_once(segmenter: runtime.Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second run waits for the one before it to be there, too; one after another they would wait in vain."""
    meeting, run = threading.Barrier(2), OnnxRuntime._run
    threads: set[object] = set()

    def together(self: OnnxRuntime, images: NDArray[np.uint8]) -> Any:  # Any: whatever a run returns
        meeting.wait(20)
        threads.add(self.settings()["threads"])
        return run(self, images)

    monkeypatch.setattr(OnnxRuntime, "_run", together)
    assert len(list(segmenter.stream(few(40)))) == 40
    assert threads == {1}


def test_only_long_streams_are_worth_a_second_session(segmenter: runtime.Segmenter) -> None:
    pictures = [image(0)] * streams._LONG
    list(segmenter.stream(pictures[1:]))
    assert len(list(segmenter.stream(pictures, frames=streams._LONG - 1))) == streams._LONG - 1
    assert isinstance(segmenter.backend, OnnxRuntime)
    assert segmenter.backend._half is None
    list(segmenter.stream(pictures, frames=streams._LONG))
    first = segmenter.backend._half
    list(segmenter.stream(pictures))
    assert segmenter.backend._half is first is not None


def test_images_that_come_at_their_own_pace_are_segmented_one_at_a_time(
    segmenter: runtime.Segmenter, tmp_path: Path
) -> None:
    """Two at once would be a gain in frames that nobody sends, and each would be late."""
    file, fifo = tmp_path / "frames.rgb", tmp_path / "frames"
    file.write_bytes(b"".join(image(index).tobytes() for index in range(3)))
    os.mkfifo(fifo)
    with segmenter.stream(Made(image, live=True)) as stream:
        next(stream)
    with ThreadPoolExecutor(1) as writer:
        writer.submit(lambda: fifo.write_bytes(file.read_bytes()))
        assert len(list(segmenter.stream(RawFrames(fifo, (64, 96))))) == 3
    assert isinstance(segmenter.backend, OnnxRuntime)
    assert segmenter.backend._half is None
    assert len(list(segmenter.stream(RawFrames(file, (64, 96))))) == 3
    assert segmenter.backend._half is not None, "a file does not say how many frames there are"


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_model_whose_file_has_changed_streams_one_image_at_a_time(
    build: Callable[..., Path], change: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = build()
    with runtime.load(path, "onnxruntime", threads=2) as segmenter:
        if change == "replaced":
            build(InputSpec(height=96, width=64), name="other").replace(path)
        else:
            path.unlink()
        assert len(list(segmenter.stream([image(0)] * 40))) == 40
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("; until then, its streams work on one image at a time")


def test_closing_while_a_stream_begins_frees_both_sessions(
    segmenter: runtime.Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second session is being loaded as another thread closes the segmenter."""
    loading, closing, load = threading.Event(), threading.Event(), OnnxRuntime._load
    loaded: list[OnnxRuntime] = []

    def wait(self: OnnxRuntime, artifact: Artifact) -> None:
        loading.set()
        closing.wait(20)
        load(self, artifact)
        loaded.append(self)

    monkeypatch.setattr(OnnxRuntime, "_load", wait)
    backend = segmenter.backend
    with ThreadPoolExecutor(2) as threads:
        stream = threads.submit(segmenter.stream, few(40))
        assert loading.wait(20)
        closed = threads.submit(segmenter.close)
        threading.Timer(0.1, closing.set).start()
        closed.result(20)
        with pytest.raises(BackendError, match="is closed"):
            list(stream.result(20))
    assert isinstance(backend, OnnxRuntime)
    assert (backend._half, [half._closed for half in loaded]) == (None, [True])
    with pytest.raises(BackendError, match="is closed"):
        backend.stream_pipeline()


def test_a_pickled_segmenter_streams_as_the_first(segmenter: runtime.Segmenter) -> None:
    first = list(segmenter.stream(few(40)))
    with pickle.loads(pickle.dumps(segmenter)) as again:
        found = list(again.stream(few(40)))
        assert again.backend._half is not None
    for one, other in zip(first, found, strict=True):
        np.testing.assert_array_equal(one.panoptic, other.panoptic)


def test_threads_that_cannot_be_halved_are_not(tiny: Path) -> None:
    with runtime.load(tiny, "onnxruntime", threads=1) as alone:
        assert alone.backend.stream_pipeline() is None


def test_an_error_comes_in_its_place_and_ends_the_stream(
    segmenter: runtime.Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = OnnxRuntime._run, itertools.count()

    def fail(self: OnnxRuntime, images: NDArray[np.uint8]) -> Any:  # Any: whatever a run returns
        if next(calls) >= 3:
            raise BackendError("out of memory")
        return run(self, images)

    monkeypatch.setattr(OnnxRuntime, "_run", fail)
    stream = segmenter.stream(source := Made(image))
    assert [next(stream).name for _ in range(3)] == ["000000", "000001", "000002"]
    with pytest.raises(BackendError, match="out of memory"):
        next(stream)
    assert (list(stream), source.ended) == ([], True)


def test_a_stream_of_a_segmenter_that_is_closed_ends_with_an_error(segmenter: runtime.Segmenter) -> None:
    stream = segmenter.stream(Made(image))
    next(stream)
    segmenter.close()
    with pytest.raises(BackendError, match="is closed"):
        for _ in stream:
            pass


def test_a_stream_can_be_closed_while_runs_are_under_way(
    segmenter: runtime.Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, running, going_on = OnnxRuntime._run, threading.Semaphore(0), threading.Event()

    def wait(self: OnnxRuntime, images: NDArray[np.uint8]) -> Any:  # Any: whatever a run returns
        running.release()
        going_on.wait(20)
        return run(self, images)

    monkeypatch.setattr(OnnxRuntime, "_run", wait)
    stream = segmenter.stream(source := Made(image))
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    assert running.acquire(timeout=20)
    assert running.acquire(timeout=20)
    threading.Timer(0.1, going_on.set).start()
    stream.close()
    reader.join(20)
    assert (reader.is_alive(), source.ended) == (False, True)
