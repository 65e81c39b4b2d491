"""Engines compute the model's outputs, keep concurrent calls separate, and free all memory."""

from __future__ import annotations

import gc
import sys
import threading
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime.errors import BackendError
from tests.helpers.tensorrt_bindings.simulated_engine import IExecutionContext
from tests.runtime.backends.tensorrt.engine_bench import Bench, SimulatedBench
from tests.runtime.backends.tensorrt.runs import DYNAMIC, FAULTY, assert_right, noise, run_in_threads


def test_outputs_are_what_the_model_says_the_first_time_and_later(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    for seed in range(4):
        logits, masks = backend(noise(seed))
        assert (logits.shape, masks.shape) == ((1, 8, 6), (1, 8, 16, 24))
        assert {logits.dtype, masks.dtype} == {np.dtype(np.float32)}
        assert_right(masks, noise(seed))
        np.testing.assert_array_equal(logits[0].argmax(axis=1), [0, 1, 2, 3, 4, 4, 5, 5])


def test_later_calls_leave_earlier_results_alone_however_many_are_kept(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    kept = [backend(noise(seed)) for seed in range(20)]
    for seed, (_, masks) in enumerate(kept):
        assert_right(masks, noise(seed))


def test_results_and_views_of_them_outlive_the_backend(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    masks = backend(noise(0))[1][0, :1]
    backend.close()
    del backend
    bench.loaded.clear()
    gc.collect()
    assert_right(masks[None], noise(0))


def test_closed(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="is closed: load the model again"):
        backend(noise(0))


def test_the_input_is_only_read(bench: Bench) -> None:
    images = noise(0)
    images.flags.writeable = False
    bench.load(bench.engine())(images)
    np.testing.assert_array_equal(images, noise(0))


def test_dynamic_sizes_and_batches_in_turn(bench: Bench) -> None:
    backend = bench.load(bench.engine(DYNAMIC))
    sizes = [(1, 64, 96), (3, 128, 32), (4, 32, 128), (1, 128, 128), (2, 64, 64), (1, 32, 32)]
    for seed in range(4):
        for batch, height, width in sizes + sizes[:2] * 2:
            images = noise(seed, height, width, batch)
            assert_right(backend(images)[1], images)


@pytest.mark.parametrize("shape", [(1, 32, 96, 3), (2, 64, 96, 3), (1, 64, 128, 3)])
def test_a_size_that_a_static_engine_does_not_take(bench: Bench, shape: tuple[int, ...]) -> None:
    backend = bench.load(bench.engine())
    with pytest.raises(BackendError, match=r"takes batch 1, height 64, width 96, .*; these images are") as caught:
        backend(np.zeros(shape, np.uint8))
    assert "\n" not in str(caught.value)
    assert_right(backend(noise(0))[1], noise(0))


@pytest.mark.parametrize("shape", [(5, 64, 96, 3), (1, 16, 96, 3), (1, 64, 160, 3), (1, 80, 96, 3), (0, 64, 96, 3)])
def test_a_size_outside_of_the_profile(bench: Bench, shape: tuple[int, ...]) -> None:
    backend = bench.load(bench.engine(DYNAMIC))
    with pytest.raises(
        BackendError, match=r"takes batch 1 to 4, height 32 to 128, width 32 to 128, .* multiples of 32"
    ):
        backend(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("images", [np.zeros((1, 64, 96, 3), np.float32), np.zeros((64, 96, 3), np.uint8), [1, 2]])
def test_what_is_no_batch_of_images(bench: Bench, images: Any) -> None:
    with pytest.raises(BackendError, match=r"images are .*, expected uint8 \(N, H, W, 3\)"):
        bench.load(bench.engine())(images)


def test_threads_sharing_backends_while_others_come_and_go(bench: Bench) -> None:
    path = bench.engine(DYNAMIC)
    shared = [bench.load(path), bench.load(path)]

    def work(seed: int) -> None:
        images = noise(seed, 32 * (1 + seed % 3), 64)
        for turn in range(8):
            assert_right(shared[(seed + turn) % 2](images)[1], images)

    def come_and_go() -> None:
        for _ in range(4):
            backend = bench.load(path)
            backend(noise(0))
            backend.close()

    assert run_in_threads(come_and_go, *(partial(work, seed) for seed in range(5))) == []


def test_closing_while_threads_call_is_one_line_for_them(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    running = threading.Barrier(4, timeout=60)

    def work() -> None:
        assert_right(backend(noise(0))[1], noise(0))
        running.wait()
        while True:
            assert_right(backend(noise(0))[1], noise(0))

    def close() -> None:
        running.wait()
        backend.close()

    errors = run_in_threads(work, work, work, close)
    assert len(errors) == 3
    assert all("is closed: load the model again" in str(error) for error in errors)


def test_closed_after_the_call_had_begun(bench: Bench) -> None:
    backend = bench.load(bench.engine())

    class Images:
        def __array__(self, *_: object, **__: object) -> NDArray[np.uint8]:
            backend.close()
            return noise(0)

    with pytest.raises(BackendError, match="is closed: load the model again"):
        backend(cast(Any, Images()))


def test_half_outputs_come_back_as_float32(simulated: SimulatedBench) -> None:
    outputs = {"logits": "float16", "masks": "float16"}
    backend = simulated.load(simulated.engine(options={"half": True}, outputs=outputs, precision="fp16"))
    for seed in range(3):
        logits, masks = backend(noise(seed))
        assert {logits.dtype, masks.dtype} == {np.dtype(np.float32)}
        assert_right(masks, noise(seed))


def test_tensorrt_replays_a_graph_from_the_second_run_of_a_shape_on(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine(DYNAMIC))
    launches = []
    for width in (64, 64, 96, 64, 96, 96):
        assert_right(backend(noise(0, 64, width))[1], noise(0, 64, width))
        launches.append(simulated.machine.launches)
    assert launches == ([0, 1, 1, 2, 3, 4] if simulated.name == "tensorrt" else [0] * 6)  # RTX does so by itself


def test_an_engine_that_no_graph_can_hold_runs_without(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine(options={"recordable": False}))
    for seed in range(4):
        assert_right(backend(noise(seed))[1], noise(seed))
    assert simulated.machine.launches == 0


def test_many_shapes_do_not_pile_up(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine(DYNAMIC))
    counts = []
    for batch in range(1, 5):
        for width in (32, 64, 96, 128):
            for seed in range(2):
                assert_right(backend(noise(seed, 64, width, batch))[1], noise(seed, 64, width, batch))
            counts.append(len(simulated.machine.leaks()))
    assert counts[-1] == counts[3]


def test_page_locked_memory_is_used_again(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine())
    backend(noise(0))
    before = len(simulated.machine.leaks())
    for seed in range(10):
        backend(noise(seed))
    assert len(simulated.machine.blocks) <= before + 2  # one result is kept while the next is computed
    kept = [backend(noise(seed)) for seed in range(30)]
    live = [block for block in simulated.machine.blocks if block.live]
    assert len(live) < len(kept)


def test_a_backend_that_is_only_forgotten_is_freed(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine())
    backend(noise(0))
    simulated.loaded.clear()
    del backend
    gc.collect()
    assert simulated.machine.leaks() == []


def test_a_callers_own_context_is_used_and_left_in_place(simulated: SimulatedBench) -> None:
    own = simulated.machine.primary[1]
    simulated.machine.capabilities[1] = (8, 9)
    simulated.machine.cuCtxPushCurrent(own)
    backend = simulated.load(simulated.engine())
    backend(noise(0))
    assert simulated.machine.current() is own
    simulated.machine.cuCtxPopCurrent()
    assert_right(backend(noise(1))[1], noise(1))  # in a thread without context, as in any other
    assert simulated.machine.current() is None
    assert {block.context for block in simulated.machine.blocks} == {own}


def test_calls_and_results_that_end_where_another_gpu_is_current(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine())
    simulated.machine.cuCtxPushCurrent(simulated.machine.primary[1])
    for seed in range(3):
        assert_right(backend(noise(seed))[1], noise(seed))
    result = backend(noise(0))
    backend.close()
    del result
    assert simulated.machine.current() is simulated.machine.primary[1]
    simulated.machine.cuCtxPopCurrent()


def test_closing_waits_for_a_call_that_has_begun(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = simulated.load(simulated.engine())
    closing = threading.Thread(target=backend.close)
    execute = IExecutionContext.execute_async_v3

    def execute_and_close(context: IExecutionContext, stream_handle: int) -> bool:
        done = execute(context, stream_handle)
        closing.start()
        closing.join(0.1)
        return done

    monkeypatch.setattr(IExecutionContext, "execute_async_v3", execute_and_close)
    assert_right(backend(noise(0))[1], noise(0))
    closing.join()


def test_out_of_gpu_memory_is_one_line_and_frees_what_was_taken(simulated: SimulatedBench) -> None:
    simulated.machine.capacity = 30_000
    with pytest.raises(
        BackendError, match=r"GPU memory cannot be allocated \(cudaMalloc failed .*\): close other programs"
    ):
        simulated.load(simulated.engine())
    gc.collect()
    assert simulated.machine.leaks() == []


def test_a_run_that_fails_is_one_line_and_the_backend_lives_on(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = simulated.load(simulated.engine())
    for seed in range(3):  # before, at and after the recording of a graph
        with monkeypatch.context() as patched:
            patched.setattr(IExecutionContext, "execute_async_v3", lambda *_: simulated.tensorrt.error("no\nluck"))
            patched.setattr(sys.modules["cuda.bindings.runtime"], "cudaGraphLaunch", lambda *_: (FAULTY,))
            with pytest.raises(
                BackendError, match=r"(\(Error Code 1: no luck\)|cudaErrorIllegalAddress).* start again"
            ):
                backend(noise(seed))
        assert_right(backend(noise(seed))[1], noise(seed))


def test_a_gpu_in_trouble_is_one_line(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = simulated.load(simulated.engine())
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["cuda.bindings.runtime"], "cudaStreamSynchronize", lambda _: (FAULTY,))
        with pytest.raises(BackendError, match="cudaStreamSynchronize failed with cudaErrorIllegalAddress: look at"):
            backend(noise(0))
    assert_right(backend(noise(1))[1], noise(1))


def test_rtx_keeps_compiled_kernels_for_the_next_start(simulated: SimulatedBench) -> None:
    path = simulated.engine(DYNAMIC)
    for width in (64, 96):
        with_new_shape = simulated.load(path)
        with_new_shape(noise(0, 64, width))
        with_new_shape.close()
    kept = [file.read_text() for file in simulated.folder.glob("cache/pem-edge/tensorrt-rtx/*.cache")]
    assert kept == ([] if simulated.name == "tensorrt" else ['["(1, 64, 64, 3)", "(1, 64, 96, 3)"]'])


def test_rtx_does_without_a_cache_that_is_damaged_or_cannot_be_written(simulated: SimulatedBench) -> None:
    folder = simulated.folder / "cache"
    folder.write_bytes(b"a file where a folder should be")
    assert_right(simulated.load(simulated.engine())(noise(0))[1], noise(0))
