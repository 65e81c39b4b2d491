"""Calls on the GPU overlap, wait wherever one stream uses what another one writes, and leave nothing pending."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.backends.cuda.pinned_pool import PinnedPool
from pem_edge.runtime.backends.tensorrt.device.maps import DownloadedMap, Layout
from pem_edge.runtime.backends.tensorrt.device.pipeline import StartedBatch
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.results.result import Result
from reference.cuda_simulation import cuda as simulated_cuda
from reference.cuda_simulation.machine import Stream, Work
from tests.helpers.tensorrt_bindings import simulated_engine
from tests.runtime.backends.tensorrt.device_runs import DEFAULT, STAGES, assert_same, make_image, pipelines, run_image
from tests.runtime.backends.tensorrt.engine_bench import SimulatedBench
from tests.runtime.backends.tensorrt.gpu_arrays import CudaArray, DlpackArray
from tests.runtime.backends.tensorrt.runs import DYNAMIC, FAULTY
from tests.runtime.helpers.footage import Made, image

SIZES = [(64, 96), (100, 70)]
"""Sizes of images that need no fitting, and that do."""

RACE = "for which nobody waits"


def start(device: Any, seed: int = 0, size: tuple[int, int] = (100, 70)) -> StartedBatch:
    started: StartedBatch = device.infer([device.prepare(make_image(seed, *size))], DEFAULT)
    return started


def cuda() -> Any:
    """Return CUDA's runtime."""
    return sys.modules["cuda.bindings.runtime"]


def streams(bench: SimulatedBench, device: Any) -> list[Stream]:
    """Return the streams of uploads, kernels and downloads."""
    found = [bench.machine.stream(int(stream)) for stream in device._stages._slots._streams]
    return [stream for stream in found if stream is not None]


def test_transfers_need_not_wait_for_the_neighbors_kernels(simulated: SimulatedBench) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    run_image(device, make_image(0, 100, 70))
    expected = [run_image(host, make_image(seed, 100, 70)) for seed in (1, 2)]
    first, second = start(device, 1), start(device, 2)
    uploads, kernels, downloads = streams(simulated, device)
    simulated.machine.finish(uploads)
    assert not uploads.pending
    assert kernels.pending
    assert_same(device.merge(first)[0], expected[0])
    assert kernels.pending  # the second image's, for which the first one's download has not waited
    assert downloads.pending
    assert_same(device.merge(second)[0], expected[1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dropped", [0, 1])
def test_each_wait_between_streams_is_needed(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch, dropped: int, size: tuple[int, int]
) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    start_and_merge = [start(device, 0, size), start(device, 1, size)]
    assert simulated.machine.faults == []
    wait, waits = cuda().cudaStreamWaitEvent, iter(range(9))
    with monkeypatch.context() as patched:
        patched.setattr(cuda(), "cudaStreamWaitEvent", lambda *a: (0,) if next(waits) == dropped else wait(*a))
        start(device, 2, size)
    assert [fault for fault in simulated.machine.faults if RACE in fault]
    assert next(waits) == 2
    simulated.machine.faults.clear()
    for started in start_and_merge:
        device.merge(started)


def test_a_slot_used_again_too_early_is_a_fault_of_the_simulation(simulated: SimulatedBench) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    start(device).pending._call.end()
    assert simulated.machine.faults == []
    start(device)
    assert [fault for fault in simulated.machine.faults if RACE in fault]
    simulated.machine.faults.clear()


@pytest.mark.parametrize("waits", [True, False])
def test_tables_that_a_call_in_flight_reads_are_not_freed(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    sizes = [(40 + index, 70) for index in range(9)]  # one more than there are tables for
    run_image(device, make_image(0))
    with monkeypatch.context() as patched:
        if not waits:
            patched.setattr(cuda(), "cudaStreamSynchronize", lambda _: (0,))
        started = [start(device, 0, size) for size in sizes]
    if waits:
        for size, each in zip(sizes, started, strict=True):
            assert_same(device.merge(each)[0], run_image(host, make_image(0, *size)))
    else:
        assert any("freed while a stream will use it" in fault for fault in simulated.machine.faults)
        simulated.machine.faults.clear()
        for stream in streams(simulated, device):  # its kernels would read what is no longer there
            stream.pending.clear()


@pytest.mark.parametrize("waits", [True, False])
def test_plans_that_a_call_in_flight_runs_are_not_freed(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    device, host = pipelines(simulated.load(simulated.engine(DYNAMIC)))
    sizes = [(64, 96), (128, 128), (32, 128), (128, 32), (64, 64)]  # one more than there are plans for
    expected = [run_image(host, make_image(0, *size)) for size in sizes]
    for size in sizes[:4]:
        run_image(device, make_image(0, *size))
    started = [start(device, 0, size) for size in sizes[:4]]
    with monkeypatch.context() as patched:
        if not waits:
            patched.setattr(cuda(), "cudaStreamSynchronize", lambda _: (0,))
        started.append(start(device, 0, sizes[4]))
    merged = [device.merge(each)[0] for each in started]
    if waits:
        for found, other in zip(merged, expected, strict=True):
            assert_same(found, other)
    else:
        assert "a context runs after it was destroyed" in simulated.machine.faults
        simulated.machine.faults.clear()


def test_calls_whose_results_nobody_asks_for_leave_their_slots_to_others(simulated: SimulatedBench) -> None:
    pipeline, host = pipelines(simulated.load(simulated.engine()))
    device: Any = pipeline
    for seed in range(6):
        start(device, seed)
        gc.collect()
    assert len(device._stages._slots._all) == 1
    assert_same(run_image(device, make_image(7, 100, 70)), run_image(host, make_image(7, 100, 70)))
    start(device)


@pytest.mark.parametrize(("live", "most"), [(False, 3), (True, 2)])
def test_a_stream_has_few_calls_in_flight(simulated: SimulatedBench, live: bool, most: int) -> None:
    segmenter = runtime.load(simulated.engine(), simulated.name)
    simulated.loaded.append(segmenter.backend)
    source = Made(lambda index: image(index) if index < 12 else None, live)
    with segmenter.stream(source) as stream:
        assert len(list(stream)) + stream.dropped == 12
    pipeline: Any = segmenter._pipeline
    assert 1 <= len(pipeline._stages._slots._all) <= most


@pytest.mark.parametrize(("kept", "copies"), [(0, 0), (30, 26)])
def test_a_stream_copies_only_images_beyond_the_four_that_a_caller_keeps(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch, kept: int, copies: int
) -> None:
    copied: list[bool] = []
    keep = PinnedPool.keep

    def count(pool: PinnedPool, array: NDArray[Any]) -> NDArray[Any]:
        given = keep(pool, array)
        copied.append(given is not array)
        return given

    monkeypatch.setattr(PinnedPool, "keep", count)
    segmenter = runtime.load(simulated.engine(), simulated.name)
    simulated.loaded.append(segmenter.backend)
    source = Made(lambda index: image(index) if index < 30 else None)
    results: deque[Result] = deque(maxlen=kept)
    for result in segmenter.stream(source):
        results.append(result)
    assert (len(copied), sum(copied)) == (30, copies)


def test_images_in_flight_and_images_given_twice_are_not_copied(simulated: SimulatedBench) -> None:
    device: Any = pipelines(simulated.load(simulated.engine()))[0]
    stages = device._stages
    in_flight = [stages.pin(make_image(seed)) for seed in range(8)]
    kept = [stages.keep(pinned) for pinned in in_flight[:4]]
    assert [stages.keep(pinned) is pinned for pinned in in_flight] == [True] * 4 + [False] * 4
    del in_flight[0], kept[0]
    assert stages.keep(in_flight[-1]) is in_flight[-1]


def test_merging_again_gives_the_same(simulated: SimulatedBench) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    started = start(device, 1)
    (first,) = device.merge(started)
    run_image(device, make_image(2, 100, 70))
    assert_same(device.merge(started)[0], first)


def test_a_map_that_is_being_copied_is_not_overwritten_by_another_call(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    started, read = start(device, 1), Layout.read

    def read_late(layout: Layout, address: int) -> list[DownloadedMap]:
        monkeypatch.setattr(Layout, "read", read)
        run_image(device, make_image(2, 100, 70))
        return read(layout, address)

    monkeypatch.setattr(Layout, "read", read_late)
    assert_same(device.merge(started)[0], run_image(host, make_image(1, 100, 70)))


def test_threads_that_ask_for_the_same_maps_share_one_copy(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    pending, read, meeting = start(device).pending, Layout.read, threading.Barrier(2)

    def read_together(layout: Layout, address: int) -> list[DownloadedMap]:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.5)
        return read(layout, address)

    monkeypatch.setattr(Layout, "read", read_together)
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(pending.collect) for _ in range(2))
    assert first.result() is second.result()


def test_an_image_whose_outputs_were_asked_for_is_not_held(simulated: SimulatedBench) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    producer = DlpackArray(CudaArray(simulated.machine, make_image(0)))
    merged = run_image(device, producer)
    merged.outputs()
    del merged
    gc.collect()
    assert producer.array.freed


def test_closed_between_inference_and_merge(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine())
    device, _ = pipelines(backend)
    started = start(device)
    backend.close()
    with pytest.raises(BackendError, match="is closed: load the model again"):
        device.merge(started)


def test_closing_waits_for_a_merge_that_has_begun(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = simulated.load(simulated.engine())
    device, host = pipelines(backend)
    expected = run_image(host, make_image(0, 100, 70))
    started = start(device)
    closing = threading.Thread(target=backend.close)
    wait = cuda().cudaEventSynchronize

    def close_and_wait(event: Any) -> Any:
        monkeypatch.setattr(cuda(), "cudaEventSynchronize", wait)
        closing.start()
        closing.join(0.1)
        assert closing.is_alive()
        return wait(event)

    monkeypatch.setattr(cuda(), "cudaEventSynchronize", close_and_wait)
    assert_same(device.merge(started)[0], expected)
    closing.join()


@pytest.mark.parametrize("broken", range(5))
def test_what_a_call_that_failed_would_have_read_may_be_freed(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    run_image(device, make_image(0, 100, 70))
    array = CudaArray(simulated.machine, make_image(0, 100, 70))
    images = [device.prepare(array)]  # type: ignore[arg-type]
    driver = sys.modules["cuda.bindings.driver"]
    launch, launches = driver.cuLaunchKernel, iter(range(9))
    with monkeypatch.context() as patched:
        patched.setattr(driver, "cuLaunchKernel", lambda *a: (FAULTY,) if next(launches) == broken else launch(*a))
        with pytest.raises(BackendError, match="cuLaunchKernel failed"):
            device.infer(images, DEFAULT)
    array.free()
    assert_same(run_image(device, make_image(1)), run_image(host, make_image(1)))


def test_a_first_run_that_cannot_be_waited_for_is_one_line(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    with monkeypatch.context() as patched:
        patched.setattr(cuda(), "cudaStreamSynchronize", lambda _: (FAULTY,))
        with pytest.raises(BackendError, match="cudaStreamSynchronize failed with cudaErrorIllegalAddress: look at"):
            start(device)
    assert_same(run_image(device, make_image(0)), run_image(host, make_image(0)))


class Clock:
    """A clock that only the simulated GPU's work advances, by seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def work(self, seconds: float) -> Work:
        """Return work that takes a time."""

        def run() -> None:
            self.now += seconds

        return Work(run)


def test_the_time_of_a_stage_has_neither_waits_nor_other_calls(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = pipelines(simulated.load(simulated.engine(InputSpec(64, 96, dynamic_batch=Range(1, 1, 2)))))
    run_image(device, make_image(0, 100, 70))
    clock, machine = Clock(), simulated.machine
    monkeypatch.setattr(simulated_cuda, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    copy, compute = cuda().cudaMemcpyAsync, simulated_engine._compute
    uploads, _, downloads = streams(simulated, device)

    def slow_copy(dst: int, src: int, count: int, kind: Any, stream: Any) -> Any:
        if int(stream) in (int(uploads), int(downloads)):
            machine.enqueue(stream, clock.work(100 if int(stream) == int(uploads) else 10))
        return copy(dst, src, count, kind, stream)

    def slow_compute(*arguments: Any) -> None:
        clock.now += 1
        compute(*arguments)

    monkeypatch.setattr(cuda(), "cudaMemcpyAsync", slow_copy)
    monkeypatch.setattr(simulated_engine, "_compute", slow_compute)
    for started in [start(device, seed) for seed in range(3)]:
        (merged,) = device.merge(started)
        assert list(merged.milliseconds) == STAGES
        times = [merged.milliseconds[stage] / 1000 for stage in STAGES]
        np.testing.assert_allclose(times, [100, 0, 1, 0, 10], atol=0.5)
