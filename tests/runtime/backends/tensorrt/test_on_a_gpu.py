"""What the backends ask of CUDA works on a GPU as it does on the simulated one; TensorRT is not needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from pem_edge.runtime.backends.cuda import device_arrays, driver
from pem_edge.runtime.backends.cuda.driver import Gpu, HostView, Memory
from pem_edge.runtime.backends.cuda.streams import Interval, Stream
from pem_edge.runtime.errors import BackendError
from reference.cuda_simulation.cuda import Cuda
from tests.runtime.backends.tensorrt.runs import noise


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


@pytest.mark.usefixtures("gpu")
def test_recorded_copies_carry_what_is_there_when_they_are_launched() -> None:
    with (
        closing(Memory(1024, pinned=True)) as host,
        closing(Memory(512)) as device,
        closing(Stream()) as stream,
        closing(Interval()) as interval,
    ):
        values = HostView(host.address, (512,), np.uint8).array()
        back = HostView(host.address + 512, (512,), np.uint8).array()

        def enqueue() -> None:
            stream.copy(device.address, host.address, 512)
            stream.copy(host.address + 512, device.address, 512)

        with closing(stream.record(enqueue)) as graph:
            for seed in range(3):
                values[...] = np.random.default_rng(seed).integers(0, 256, 512)
                with interval.on(stream):
                    stream.launch(graph)
                interval.end.synchronize()
                np.testing.assert_array_equal(back, values)
                assert interval.milliseconds() > 0


@pytest.mark.gpu
@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_arrays_of_other_libraries_lie_where_they_say(library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    try:
        gpu = Gpu()
    except BackendError as reason:
        pytest.skip(str(reason))
    images = noise(0)
    theirs = module.asarray(images) if library == "cupy" else module.from_numpy(images).cuda()
    with gpu.current(), closing(Memory(images.nbytes, pinned=True)) as host, closing(Stream()) as stream:
        found = device_arrays.read(theirs, int(stream))
        driver.call("cudaDeviceSynchronize")
        stream.copy(host.address, found.address, images.nbytes)
        stream.synchronize()
        np.testing.assert_array_equal(HostView(host.address, images.shape, np.uint8).array(), images)
