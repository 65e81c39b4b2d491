"""What the backends ask of CUDA works on a GPU as it does on the simulated one; TensorRT is not needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from pem_edge.runtime.backends.cuda import device_arrays, driver
from pem_edge.runtime.backends.cuda.driver import Gpu, Graph, HostView, Memory, copy
from pem_edge.runtime.backends.cuda.launching import StageTimer
from pem_edge.runtime.errors import BackendError
from reference.cuda_simulation.cuda import Cuda
from tests.runtime.backends.tensorrt.runs import noise

NON_BLOCKING = 1


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """Yield a GPU, which is current during the test."""
    if request.param == "simulated":
        for name, module in Cuda().modules().items():
            monkeypatch.setitem(sys.modules, name, module)
        driver._library.cache_clear()
    try:
        found = Gpu()
    except BackendError as reason:
        pytest.skip(str(reason))
    with found.current():
        yield found
    driver._library.cache_clear()


@pytest.fixture
def stream(gpu: Gpu) -> Iterator[int]:  # noqa: ARG001
    """Yield a stream."""
    created = driver.call("cudaStreamCreateWithFlags", NON_BLOCKING)
    yield created
    driver.call("cudaStreamDestroy", created)


def test_recorded_copies_carry_what_is_there_when_they_are_launched(stream: int) -> None:
    with (
        closing(Memory(1024, pinned=True)) as host,
        closing(Memory(512)) as device,
        closing(StageTimer(stream)) as timer,
    ):
        values = HostView(host.address, (512,), np.uint8).array()
        back = HostView(host.address + 512, (512,), np.uint8).array()

        def enqueue() -> None:
            copy(device.address, host.address, 512, stream)
            copy(host.address + 512, device.address, 512, stream)

        with closing(Graph(stream, enqueue)) as graph:
            for seed in range(3):
                values[...] = np.random.default_rng(seed).integers(0, 256, 512)
                timer.start()
                graph.launch(stream)
                timer.end("copies")
                driver.call("cudaStreamSynchronize", stream)
                np.testing.assert_array_equal(back, values)
                assert timer.milliseconds()["copies"] > 0


@pytest.mark.gpu
@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_arrays_of_other_libraries_lie_where_they_say(library: str) -> None:
    module = pytest.importorskip(library)
    try:
        gpu = Gpu()
    except BackendError as reason:
        pytest.skip(str(reason))
    images = noise(0)
    theirs = module.asarray(images) if library == "cupy" else module.from_numpy(images).cuda()
    with gpu.current(), closing(Memory(images.nbytes, pinned=True)) as host:
        stream = driver.call("cudaStreamCreateWithFlags", NON_BLOCKING)
        found = device_arrays.read(theirs, int(stream))
        driver.call("cudaDeviceSynchronize")
        copy(host.address, found.address, images.nbytes, stream)
        driver.call("cudaStreamSynchronize", stream)
        driver.call("cudaStreamDestroy", stream)
        np.testing.assert_array_equal(HostView(host.address, images.shape, np.uint8).array(), images)
