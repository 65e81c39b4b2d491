"""The kernels before and after the model: do they make what the CPU makes, and how fast?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.backends.cuda.driver import Gpu, Memory
from pem_edge.runtime.backends.cuda.launching import Module
from pem_edge.runtime.backends.tensorrt.kernels import compiled
from pem_edge.runtime.backends.tensorrt.kernels.arguments import THREADS
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from pem_edge.runtime.inference import postprocess, preprocess
from reference.kernel_cases import FitCase, MergeCase
from reference.scenes import Scene
from reference.synthetic import synthetic
from scripts.gpu.devices.device import Device, random_frame
from scripts.gpu.tasks import Row

Size = tuple[int, int]
Modules = dict[str, Module]
HOST_RUNS = 15


@contextmanager
def modules(device: Device) -> Iterator[Modules]:
    """Give the block the compiled kernels."""
    gpu = Gpu()
    with gpu.current(), ExitStack() as cleanup:
        binaries = {name: compiled.cubin(name, device.compute_capability()) for name in compiled.NAMES}
        yield {name: cleanup.enter_context(closing(Module(binary))) for name, binary in binaries.items()}


def fit(loaded: Modules, device: Device, size: Size, box: Size) -> Row:
    """Return the difference from OpenCV's image in gray levels, and median milliseconds."""
    image, spec = random_frame(size), InputSpec(*box)
    expected, geometry = preprocess.prepare(image, spec)
    with _placing(device) as place:
        case = FitCase(image, geometry, spec.pad_value, place)
        start = _start(loaded["preprocess"], device, [case.launch])
        row: Row = {"GPU ms": device.warm(start), "GPU ms, cold": device.cold(start)}
        device.synchronize()
        off = np.abs(case.result().astype(int) - expected)
    row |= {
        "CPU ms": _host_milliseconds(lambda: preprocess.prepare(image, spec)),
        "most gray levels off": int(off.max()),
        "values off": float((off > 0).mean()),
    }
    return {**row, **({"failed": "another image than OpenCV's"} if off.max() > 1 else {})}


def merge(loaded: Modules, device: Device, box: Size, output: Size, dtype: type[np.floating]) -> Row:
    """Return the difference from the CPU's map in pixels, and median milliseconds, in all and of each kernel."""
    classes = labels.load("cityscapes")
    things = labels.things(classes)
    logits, masks = synthetic().predictions(len(classes), box[0] // 4, box[1] // 4)
    scene = Scene(logits.astype(dtype), masks.astype(dtype), Geometry(box, box, output))
    with _placing(device) as place:
        case = MergeCase(scene, things, 0.8, 0.8, place)
        start = _start(loaded["panoptic_merge"], device, case.launches)
        row: Row = {"GPU ms": device.warm(start), "GPU ms, cold": device.cold(start)}
        device.synchronize()
        found = case.result()
        for launch in case.launches:  # one that starts from its own results takes as long
            name = f"{launch.kernel.split('_')[1]} ms"
            row[name] = device.warm(_start(loaded["panoptic_merge"], device, [launch]))

    def on_host() -> tuple[NDArray[np.int32], list[Any]]:
        return postprocess.panoptic(scene.logits, scene.masks, things=things, **scene.sizes)

    expected, segments = on_host()
    off = int(np.count_nonzero(found.map != expected))
    same = [int(category) for category in found.segments["category"]] == [each.category_id for each in segments]
    row |= {"CPU ms": _host_milliseconds(on_host), "candidates": len(found.candidates), "pixels off": off}
    right = same and off <= tolerated(output)
    return {**row, **({} if right else {"failed": "another map than the CPU's"})}


def tolerated(size: Size) -> int:
    """Return how many pixels of a map may differ: those where two queries are as good as equal."""
    return 2 + 2 * size[0] * size[1] // 1_000_000


class OnDevice:
    """A copy of an array in memory of CUDA's."""

    def __init__(self, array: NDArray[Any], device: Device) -> None:
        self._dtype, self._shape, self._device = array.dtype, array.shape, device
        self.memory = Memory(array.nbytes)
        self._bytes = device.at(self.memory.address, (array.nbytes,), np.uint8)
        self._bytes.copy_(torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy()))

    @property
    def address(self) -> int:
        """Of the array."""
        return self.memory.address

    def read(self) -> NDArray[Any]:
        """Return what it holds now."""
        return np.asarray(self._bytes.cpu().numpy().copy().view(self._dtype).reshape(self._shape))


@contextmanager
def _placing(device: Device) -> Iterator[Callable[[NDArray[Any]], OnDevice]]:
    """Give the block a function that places arrays, which are freed at its end."""
    with ExitStack() as cleanup:

        def place(array: NDArray[Any]) -> OnDevice:
            placed = OnDevice(array, device)
            cleanup.enter_context(closing(placed.memory))
            return placed

        yield place


def _start(module: Module, device: Device, launches: Sequence[Launch]) -> Callable[[], None]:
    def start() -> None:
        for launch in launches:
            module.launch(launch.kernel, launch.blocks, THREADS, launch.shared, launch.argument, device.stream())

    return start


def _host_milliseconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(HOST_RUNS):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)
