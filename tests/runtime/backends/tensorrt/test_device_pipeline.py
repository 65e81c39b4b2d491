"""The stages on the GPU compute the same results as the CPU, keep concurrent calls separate, and free all memory."""

from __future__ import annotations

import gc
import json
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge import runtime
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Range, Thresholds
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.cuda import driver as cuda_driver
from pem_edge.runtime.cli import run
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from reference.cuda_simulation.machine import Work
from tests.runtime.backends.tensorrt.device_runs import (
    ATOL,
    DEFAULT,
    OPENCV_IS_MATCHED,
    STAGES,
    assert_alike,
    assert_same,
    make_image,
    pipelines,
    run_batch,
    run_image,
)
from tests.runtime.backends.tensorrt.engine_bench import Bench, SimulatedBench
from tests.runtime.backends.tensorrt.gpu_arrays import CudaArray, DlpackArray
from tests.runtime.backends.tensorrt.runs import DYNAMIC, FAULTY, run_in_threads


@pytest.mark.parametrize("size", [(64, 96), (128, 192), (192, 288), (100, 70), (33, 47), (7, 90), (1, 1), (300, 451)])
def test_maps_and_segments_are_those_of_the_host(bench: Bench, size: tuple[int, int]) -> None:
    backend = bench.load(bench.engine())
    device, host = pipelines(backend)
    assert backend.settings() == {"pipeline": "device"}
    for seed in range(3):
        assert_same(run_image(device, make_image(seed, *size)), run_image(host, make_image(seed, *size)))


def test_sizes_that_vary_and_more_geometries_than_are_kept(bench: Bench) -> None:
    device, host = pipelines(bench.load(bench.engine(DYNAMIC)))
    sizes = [(64, 96), (40, 60), (128, 128), (200, 100), (20, 30), (64, 64), (96, 64), (65, 65), (300, 300), (31, 77)]
    for size in sizes + sizes:
        assert_same(run_image(device, make_image(0, *size)), run_image(host, make_image(0, *size)))


@pytest.mark.parametrize(
    "spec", [InputSpec(64, 96, batch=3), InputSpec(64, 96, dynamic_batch=Range(2, 2, 4))], ids=["static", "dynamic"]
)
@pytest.mark.parametrize("size", [(64, 96), (50, 50)])
def test_a_model_that_takes_only_batches(bench: Bench, spec: InputSpec, size: tuple[int, int]) -> None:
    device, host = pipelines(bench.load(bench.engine(spec)))
    found, expected = run_image(device, make_image(1, *size)), run_image(host, make_image(1, *size))
    assert_same(found, expected)
    np.testing.assert_allclose(found.outputs()[1], expected.outputs()[1], atol=ATOL)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_images_that_share_a_run_have_the_results_that_they_have_alone(bench: Bench, count: int) -> None:
    spec = InputSpec(64, 96, dynamic_batch=Range(1, 2, 12))
    device, host = pipelines(bench.load(bench.engine(spec)))
    images = [
        make_image(seed, 64 + 9 * (seed % 10), 96) for seed in range(count)
    ]  # more geometries than are kept by default
    for _ in range(2):
        found = run_batch(device, images)
        for image, merged in zip(images, found, strict=True):
            expected = run_image(host, image)
            assert_same(merged, expected)
            np.testing.assert_allclose(merged.outputs()[1], expected.outputs()[1], atol=ATOL)


def test_the_time_of_a_batch_is_shared_by_its_images(bench: Bench) -> None:
    device, _ = pipelines(bench.load(bench.engine(InputSpec(64, 96, dynamic_batch=Range(1, 2, 4)))))
    found = run_batch(device, [make_image(seed, 70, 70) for seed in range(4)])
    assert all(list(merged.milliseconds) == STAGES for merged in found)
    assert len({merged.milliseconds["inference"] for merged in found}) == 1


def test_thresholds_are_passed_on(bench: Bench) -> None:
    device, host = pipelines(bench.load(bench.engine()))
    counts = set()
    for thresholds in (Thresholds(), Thresholds(score=0.9999), Thresholds(score=0.0, overlap=0.99), Thresholds(0.0, 0)):
        found = run_image(device, make_image(2), thresholds)
        assert_same(found, run_image(host, make_image(2), thresholds))
        counts.add(len(found.segments))
    assert len(counts) > 1


def test_half_outputs(simulated: SimulatedBench) -> None:
    outputs = {"logits": "float16", "masks": "float16"}
    backend = simulated.load(simulated.engine(options={"half": True}, outputs=outputs, precision="fp16"))
    device, host = pipelines(backend)
    found, expected = run_image(device, make_image(0, 100, 100)), run_image(host, make_image(0, 100, 100))
    assert_same(found, expected)
    assert {array.dtype for array in found.outputs()} == {np.dtype(np.float32)}


def test_maps_of_a_model_with_more_queries_than_a_byte_can_count(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pem_edge.runtime.backends.tensorrt.device.stages.map_dtype", lambda _: np.dtype(np.uint16))
    device, host = pipelines(simulated.load(simulated.engine()))
    assert_same(run_image(device, make_image(0, 100, 70)), run_image(host, make_image(0, 100, 70)))


def test_the_outputs_are_an_images_own_even_after_later_calls(bench: Bench) -> None:
    device, host = pipelines(bench.load(bench.engine()))
    images = [make_image(seed, 80, 90) for seed in range(8)]
    kept = [run_image(device, image) for image in images]
    expected = [run_image(host, image) for image in images]
    for image in images:
        image[:] = 0  # the caller's array is the caller's to use again
    for found, other in zip(kept, expected, strict=True):
        assert_same(found, other)
        for ours, theirs in zip(found.outputs(), other.outputs(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=ATOL)


def test_a_segmenter_gives_all_that_it_gives_on_the_host(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.engine()
    segmenter = runtime.load(path, bench.name)
    bench.loaded.append(segmenter.backend)
    found = segmenter(make_image(4, 90, 130))
    monkeypatch.setattr(type(segmenter.backend), "pipeline", Backend.pipeline)
    other = runtime.load(path, bench.name)
    bench.loaded.append(other.backend)
    expected = other(make_image(4, 90, 130))
    assert_alike(found.panoptic, expected.panoptic)
    assert_alike(found.semantic, expected.semantic)
    assert [segment.label for segment in found.segments] == [segment.label for segment in expected.segments]
    assert len(found.instances) == len(expected.instances)
    assert list(found.milliseconds) == STAGES
    assert min(found.milliseconds.values()) >= 0


def test_a_stream_gives_what_single_calls_give(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(8):
        Image.fromarray(make_image(seed, 60 + seed, 90)).save(folder / f"{seed}.png")
    segmenter = runtime.load(bench.engine(), bench.name)
    bench.loaded.append(segmenter.backend)
    results = list(segmenter.stream(folder))
    for seed, result in enumerate(results):
        expected = segmenter(make_image(seed, 60 + seed, 90))
        np.testing.assert_array_equal(result.panoptic, expected.panoptic)
        np.testing.assert_array_equal(result.semantic, expected.semantic)
        assert result.segments == expected.segments
    assert len(results) == 8


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_a_run_saves_for_each_image_what_the_host_finds(bench: Bench, tmp_path: Path, task: str) -> None:
    """The model runs again for an image that is saved, while the images after it are in its buffers."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(8):
        Image.fromarray(make_image(seed, 60 + seed, 90)).save(folder / f"{seed}.png")
    engine = bench.engine(task=task)
    for name, model, backend in (("gpu", engine, bench.name), ("host", engine.with_suffix(".onnx"), "onnxruntime")):
        options = ["--backend", backend, "-o", str(tmp_path / name), "--score-threshold", "0.5"]
        assert run.main([str(model), str(folder), *options]) == 0
    if task == "semantic":
        for seed in range(8):
            maps = [np.asarray(Image.open(tmp_path / name / f"{seed}_semantic.png")) for name in ("gpu", "host")]
            assert_alike(maps[0].astype(np.int32), maps[1].astype(np.int32))
    else:
        found, expected = (json.loads((tmp_path / name / "instances.json").read_bytes()) for name in ("gpu", "host"))
        assert [(one["image_id"], one["label"]) for one in found] == [
            (one["image_id"], one["label"]) for one in expected
        ]
        assert {one["image_id"] for one in found} == {str(seed) for seed in range(8)}
        if OPENCV_IS_MATCHED:
            assert [one["segmentation"] for one in found] == [one["segmentation"] for one in expected]


def test_later_calls_leave_earlier_maps_alone_however_many_are_kept(bench: Bench) -> None:
    device, host = pipelines(bench.load(bench.engine()))
    kept = [run_image(device, make_image(seed)) for seed in range(20)]
    for seed, merged in enumerate(kept):
        assert_same(merged, run_image(host, make_image(seed)))


def test_maps_outlive_the_backend_and_outputs_say_that_they_do_not(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    device, host = pipelines(backend)
    expected = run_image(host, make_image(0))
    found = run_image(device, make_image(0))
    backend.close()
    assert_same(found, expected)
    with pytest.raises(BackendError, match=r"is closed, which computes .* when first asked for: ask before closing it"):
        found.outputs()
    with pytest.raises(BackendError, match="is closed: load the model again"):
        device.prepare(make_image(0))


def test_closed_between_stages(bench: Bench) -> None:
    backend = bench.load(bench.engine())
    device, _ = pipelines(backend)
    prepared = device.prepare(make_image(0))
    backend.close()
    with pytest.raises(BackendError, match="is closed: load the model again"):
        device.infer([prepared], DEFAULT)


def test_threads_sharing_a_pipeline(bench: Bench) -> None:
    device, host = pipelines(bench.load(bench.engine(DYNAMIC)))

    def work(seed: int) -> None:
        image = make_image(seed, 40 + 30 * (seed % 3), 64)
        expected = run_image(host, image)
        for _ in range(5):
            assert_same(run_image(device, image), expected)

    assert run_in_threads(*(partial(work, seed) for seed in range(4))) == []


def test_neighboring_images_in_different_stages(bench: Bench) -> None:
    device, host = pipelines(bench.load(bench.engine()))
    prepared = [device.prepare(make_image(seed, 70, 70)) for seed in range(3)]
    inferred = [device.infer([each], DEFAULT) for each in prepared]
    for seed in (2, 0, 1):
        assert_same(device.merge(inferred[seed])[0], run_image(host, make_image(seed, 70, 70)))


def test_closing_waits_for_a_call_that_has_begun(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = simulated.load(simulated.engine())
    device, host = pipelines(backend)
    expected = run_image(host, make_image(0))
    closing = threading.Thread(target=backend.close)
    driver = sys.modules["cuda.bindings.driver"]
    launch = driver.cuLaunchKernel

    def launch_and_close(*arguments: Any) -> Any:
        monkeypatch.setattr(driver, "cuLaunchKernel", launch)
        closing.start()
        closing.join(0.1)
        return launch(*arguments)

    monkeypatch.setattr(driver, "cuLaunchKernel", launch_and_close)
    assert_same(run_image(device, make_image(0)), expected)
    closing.join()


@pytest.mark.parametrize("size", [(64, 96), (50, 120)])
def test_images_on_the_gpu(simulated: SimulatedBench, size: tuple[int, int]) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    for seed in range(3):
        array = CudaArray(simulated.machine, make_image(seed, *size))
        found, expected = run_image(device, array), run_image(host, make_image(seed, *size))
        assert_same(found, expected)
        assert list(found.milliseconds) == STAGES
        np.testing.assert_allclose(found.outputs()[1], expected.outputs()[1], atol=ATOL)
        array.free()
        producer = DlpackArray(CudaArray(simulated.machine, make_image(seed, *size)))
        assert_same(run_image(device, producer), expected)
        gc.collect()
        assert producer.array.freed


@pytest.mark.parametrize("size", [(64, 96), (50, 120)])
def test_what_the_makers_stream_still_has_to_do_is_waited_for(simulated: SimulatedBench, size: tuple[int, int]) -> None:
    machine = simulated.machine
    device, host = pipelines(simulated.load(simulated.engine()))
    image = make_image(0, *size)
    expected = run_image(host, image)
    array = CudaArray(machine, np.zeros_like(image), stream=1)

    def fill() -> None:
        machine.view(array.address, image.size)[:] = np.ravel(image)

    machine.enqueue(1, Work(fill))
    assert_same(run_image(device, array), expected)
    array.free()


@pytest.mark.parametrize("image", [np.zeros((64, 96, 3), np.float32), np.zeros((64, 96), np.uint8)])
def test_what_is_no_image(simulated: SimulatedBench, image: NDArray[Any]) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    with pytest.raises(BackendError, match="expected uint8"):
        device.prepare(image)
    array = CudaArray(simulated.machine, image)
    with pytest.raises(BackendError, match="expected uint8"):
        device.prepare(array)  # type: ignore[arg-type]
    array.free()


def test_masks_that_are_not_finite_end_as_on_the_host(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.helpers.tensorrt_bindings import simulated_engine

    backend = simulated.load(simulated.engine())
    device, host = pipelines(backend)
    compute = simulated_engine._compute

    def overflow(reference: Any, version: int, shape: Any, addresses: dict[str, int], machine: Any) -> None:
        compute(reference, version, shape, addresses, machine)
        machine.view(addresses["masks"], 4).view(np.float32)[:] = np.inf

    monkeypatch.setattr(simulated_engine, "_compute", overflow)
    white = np.full((64, 96, 3), 255, np.uint8)
    messages = []
    for pipeline in (host, device):
        with pytest.raises(BackendError, match="cannot be merged: masks hold NaN or infinity") as caught:
            run_image(pipeline, np.asarray(white * 0 + np.array([255, 0, 0], np.uint8)))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_gpu_in_trouble_is_one_line_and_the_pipeline_lives_on(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    expected = run_image(host, make_image(0, 70, 70))
    for name in (
        "cuLaunchKernel",
        "cudaMemcpyAsync",
        "cudaEventRecord",
        "cudaStreamWaitEvent",
        "cudaEventSynchronize",
        "cudaEventElapsedTime",
    ):
        module = sys.modules[f"cuda.bindings.{'driver' if name == 'cuLaunchKernel' else 'runtime'}"]
        with monkeypatch.context() as patched:
            patched.setattr(module, name, lambda *_: (FAULTY,))
            with pytest.raises(BackendError, match=f"{name} failed with cudaErrorIllegalAddress: look at"):
                run_image(device, make_image(0, 70, 70))
        assert_same(run_image(device, make_image(0, 70, 70)), expected)


def test_an_image_for_which_there_is_no_memory_is_one_line(simulated: SimulatedBench) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    simulated.machine.capacity = 1_000_000
    with pytest.raises(BackendError, match="GPU memory cannot be allocated"):
        run_image(device, make_image(0, 600, 900))
    assert_same(run_image(device, make_image(0)), run_image(host, make_image(0)))


def test_memory_is_used_again(simulated: SimulatedBench) -> None:
    device, _ = pipelines(simulated.load(simulated.engine()))
    for seed in range(2):
        run_image(device, make_image(seed, 70, 70))
    before = len(simulated.machine.blocks)
    for seed in range(10):
        run_image(device, make_image(seed, 70, 70))
    assert len(simulated.machine.blocks) == before


def test_a_backend_that_is_only_forgotten_is_freed(simulated: SimulatedBench) -> None:
    device, host = pipelines(simulated.load(simulated.engine()))
    merged = run_image(device, make_image(0))
    simulated.loaded.clear()
    del device, host
    gc.collect()
    merged.outputs()  # still there for it
    del merged
    gc.collect()
    assert simulated.machine.leaks() == []


def test_kernels_are_compiled_once(simulated: SimulatedBench) -> None:
    path = simulated.engine()
    for _ in range(2):
        pipelines(simulated.load(path))
    assert simulated.machine.compilations == 2  # one for each source
    assert len(list(Path(simulated.folder).glob("cache/pem-edge/kernels/*.cubin"))) == 2


def check_host_instead(bench: SimulatedBench, reason: str) -> None:
    """Check that the pipeline is the host's, which works, and says why."""
    backend = bench.load(bench.engine())
    device, host = pipelines(backend)
    assert isinstance(device, HostPipeline)
    assert str(backend.settings()["pipeline"]).startswith("host: ")
    assert reason in str(backend.settings()["pipeline"])
    assert_same(run_image(device, make_image(0)), run_image(host, make_image(0)))


def test_without_nvrtc_the_host_merges(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise RuntimeError("Failed to dlopen libnvrtc.so.13")

    monkeypatch.setattr(sys.modules["cuda.bindings.nvrtc"], "nvrtcVersion", missing)
    check_host_instead(simulated, "pip install nvidia-cuda-nvrtc")


def test_an_nvrtc_without_bindings(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    cuda_driver._library.cache_clear()
    check_host_instead(simulated, "pip install cuda-bindings")


def test_an_nvrtc_that_does_not_know_the_gpu(simulated: SimulatedBench) -> None:
    simulated.machine.architectures = {"sm_75"}
    check_host_instead(simulated, "NVRTC cannot compile preprocess.cu for sm_89 (no such architecture)")


def test_more_queries_than_the_kernels_take(simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pem_edge.runtime.backends.tensorrt.kernels.launches.MAX_QUERIES", 7)
    check_host_instead(simulated, "the kernels take 7 queries, the model has 8")


def test_other_backends_stay_on_the_host(tiny: Path) -> None:
    from pem_edge.runtime import backends

    backend = backends.create("onnxruntime", artifact.read(tiny))
    assert isinstance(backend.pipeline(), HostPipeline)
