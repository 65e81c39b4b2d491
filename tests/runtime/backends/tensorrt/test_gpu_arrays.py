"""Images that another library put on the GPU are read there, and only while they are valid."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends.cuda import device_arrays
from pem_edge.runtime.errors import BackendError
from reference.cuda_simulation.machine import Work
from tests.runtime.backends.tensorrt.engine_bench import Bench, Builder, SimulatedBench
from tests.runtime.backends.tensorrt.gpu_arrays import ALIVE, CudaArray, DlpackArray
from tests.runtime.backends.tensorrt.runs import DYNAMIC, assert_right, noise


@pytest.mark.parametrize("pinned", [False, True])
def test_the_cuda_array_interface(simulated: SimulatedBench, pinned: bool) -> None:
    backend = simulated.load(simulated.engine(DYNAMIC))
    for seed, size in enumerate([(64, 96), (64, 96), (32, 128), (64, 96)]):
        array = CudaArray(simulated.machine, noise(seed, *size, batch=2), pinned=pinned)
        assert_right(backend(array)[1], array.images)
        array.free()
    assert_right(backend(noise(9))[1], noise(9))


@pytest.mark.parametrize("pinned", [False, True])
def test_dlpack(simulated: SimulatedBench, pinned: bool) -> None:
    backend = simulated.load(simulated.engine())
    for seed in range(4):
        producer = DlpackArray(CudaArray(simulated.machine, noise(seed), pinned=pinned))
        assert_right(backend(producer)[1], noise(seed))
        assert (producer.streams[0] is None) == pinned  # else ours, for which the producer is to make it wait
        assert producer.array.freed  # as soon as it is no longer needed
    assert not ALIVE


def test_dlpack_with_offset_and_strides(simulated: SimulatedBench) -> None:
    strides = (7, 96 * 3, 3, 1)  # that of a single image does not matter
    producer = DlpackArray(CudaArray(simulated.machine, noise(0)), strides, offset=512)
    assert_right(simulated.load(simulated.engine())(producer)[1], noise(0))


def test_what_the_makers_stream_still_has_to_do_is_waited_for(simulated: SimulatedBench) -> None:
    machine = simulated.machine
    backend = simulated.load(simulated.engine())
    machine.cuCtxPushCurrent(machine.primary[0])
    _, stream = machine.cudaStreamCreateWithFlags(1)
    for maker in (stream, 1, None):
        array = CudaArray(machine, np.zeros_like(noise(0)))
        array.interface["stream"] = maker and int(maker)
        if maker is None:
            array.interface["version"] = 2
            del array.interface["stream"]  # unknown to that version
        data = np.ravel(noise(0))

        def fill(array: CudaArray = array, data: NDArray[np.uint8] = data) -> None:
            machine.view(array.address, data.size)[:] = data

        machine.enqueue(maker or 1, Work(fill))
        assert_right(backend(array)[1], noise(0))
        array.free()
    machine.cudaStreamDestroy(stream)
    machine.cuCtxPopCurrent()


@pytest.mark.parametrize("kind", [CudaArray, DlpackArray])
@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((1, 64, 96, 3), np.float32), r"images are float32 of shape .*, expected uint8 \(N, H, W, 3\)"),
        (np.zeros((64, 96, 3), np.uint8), r"images are uint8 of shape \(64, 96, 3\), expected"),
        (np.zeros((1, 32, 96, 3), np.uint8), "takes batch 1, height 64, width 96"),
    ],
)
def test_arrays_that_do_not_fit(simulated: SimulatedBench, kind: Any, images: NDArray[Any], says: str) -> None:
    array = CudaArray(simulated.machine, images)
    with pytest.raises(BackendError, match=says):
        simulated.load(simulated.engine())(array if kind is CudaArray else DlpackArray(array))
    if kind is CudaArray:
        array.free()


def test_arrays_with_gaps(simulated: SimulatedBench) -> None:
    backend = simulated.load(simulated.engine())
    array = CudaArray(simulated.machine, noise(0), strides=(64 * 96 * 3, 96 * 3, 1, 96))
    with pytest.raises(BackendError, match=r"strides \(18432, 288, 1, 96\), .* make them contiguous first"):
        backend(array)
    with pytest.raises(BackendError, match="make them contiguous first"):
        backend(DlpackArray(array, (64 * 96 * 3, 96 * 3 * 2, 3, 1)))
    array.interface["strides"] = (64 * 96 * 3, 96 * 3, 3, 1)
    with pytest.raises(BackendError, match="CUDA knows of no memory: have they been freed"):
        backend(array)  # DLPack freed it


def test_arrays_on_another_gpu(simulated: SimulatedBench) -> None:
    array = CudaArray(simulated.machine, noise(0), gpu=1)
    with pytest.raises(BackendError, match=r"images are on GPU 1, .*tiny\.engine on GPU 0: copy them there first"):
        simulated.load(simulated.engine())(array)
    array.free()


def test_arrays_of_memory_that_is_not_cudas(simulated: SimulatedBench) -> None:
    elsewhere = noise(0)
    array = CudaArray(simulated.machine, noise(0), data=(elsewhere.ctypes.data, True))
    with pytest.raises(BackendError, match="CUDA knows of no memory"):
        simulated.load(simulated.engine())(array)
    array.free()


def test_backends_of_the_host_ask_for_a_copy(tiny: Any) -> None:
    class Array:
        __cuda_array_interface__: dict[str, Any] = {}  # noqa: RUF012

    with pytest.raises(BackendError, match=r"onnxruntime takes images in host memory, .*: copy them to the host first"):
        backends.create("onnxruntime", artifact.read(tiny))(Array())


def test_a_capsule_of_numpys_own_is_read_rightly() -> None:
    images = noise(0)[:, 8:]
    array = device_arrays._from_capsule(images.__dlpack__())
    assert (array.address, array.shape, array.dtype) == (images.ctypes.data, images.shape, np.dtype(np.uint8))
    with pytest.raises(BackendError, match="contiguous"):
        device_arrays._from_capsule(images[:, :, ::2].__dlpack__())


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_tensors_of_torch_on_the_host_are_host_arrays(tiny: Any) -> None:
    import torch

    backend = backends.create("onnxruntime", artifact.read(tiny))
    assert_right(backend(torch.from_numpy(noise(0)))[1], noise(0))


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_arrays_of_real_libraries_on_a_real_gpu(bench: Bench, build: Builder, library: str) -> None:  # noqa: ARG001
    if isinstance(bench, SimulatedBench):
        pytest.skip("for a real GPU only")
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    backend = bench.load(bench.engine())
    for seed in range(3):
        images = module.asarray(noise(seed)) if library == "cupy" else module.from_numpy(noise(seed)).cuda()
        assert_right(backend(images)[1], noise(seed))
