"""The kernels before and after the model, without TensorRT: do they make what the CPU makes, and how fast?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.cuda.launching import Module
from pem_edge.runtime.backends.tensorrt.kernels import compiled
from pem_edge.runtime.backends.tensorrt.kernels.arguments import THREADS
from pem_edge.runtime.backends.tensorrt.kernels.launches import Launch
from pem_edge.runtime.inference import postprocess, preprocess
from reference.kernel_cases import FitCase, MergeCase
from reference.scenes import Scene
from reference.synthetic import synthetic
from scripts.gpu.kernel_times import graph_milliseconds

Row = dict[str, Any]
Size = tuple[int, int]
FITS: tuple[tuple[Size, Size], ...] = (
    ((1080, 1920), (512, 1024)),
    ((1024, 2048), (512, 1024)),
    ((2160, 3840), (1024, 2048)),
    ((720, 1280), (1024, 2048)),
    ((1000, 2000), (1024, 2048)),
)
MERGES: tuple[tuple[Size, Size], ...] = (
    ((512, 1024), (512, 1024)),
    ((1024, 2048), (1024, 2048)),
    ((512, 1024), (1080, 1920)),
)
"""Sizes of the model's input and of the map."""
HOST_RUNS = 15


def run() -> Row:
    """Return differences from the CPU's results, and median milliseconds.

    Kernels are timed in a CUDA graph, the CPU by its clock.
    """
    gpu = Gpu()
    modules = {name: Module(compiled.cubin(name, gpu.compute_capability)) for name in compiled.NAMES}
    try:
        fits = [_fit(modules["preprocess"], *sizes) for sizes in FITS]
        dtypes = (np.float32, np.float16)
        merges = [_merge(modules["panoptic_merge"], *sizes, dtype) for sizes in MERGES for dtype in dtypes]
    finally:
        for module in modules.values():
            module.close()
    failed = [f"{row['image']} to {row['input']}" for row in fits if row["most gray levels off"] > 1]
    failed += [f"{row['input']} {row['type']}" for row in merges if not row["right"]]
    threads = f"{cv2.getNumThreads()} threads"
    return {"CPU": threads, "fit": fits, "merge": merges, **({"failed": "; ".join(failed)} if failed else {})}


def _fit(module: Module, size: Size, box: Size) -> Row:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    spec = InputSpec(*box)
    expected, geometry = preprocess.prepare(image, spec)
    case = FitCase(image, geometry, spec.pad_value, OnGpu)
    milliseconds = graph_milliseconds(lambda: _start(module, [case.launch]))
    off = np.abs(case.result().astype(int) - expected)
    return {
        "image": _text(size),
        "input": _text(box),
        "most gray levels off": int(off.max()),
        "values off": float((off > 0).mean()),
        "GPU ms": milliseconds,
        "CPU ms": _host_milliseconds(lambda: preprocess.prepare(image, spec)),
    }


def _merge(module: Module, box: Size, output: Size, dtype: type[np.floating]) -> Row:
    classes = labels.load("cityscapes")
    things = labels.things(classes)
    logits, masks = synthetic().predictions(len(classes), box[0] // 4, box[1] // 4)
    scene = Scene(logits.astype(dtype), masks.astype(dtype), Geometry(box, box, output))
    case = MergeCase(scene, things, 0.8, 0.8, OnGpu)
    milliseconds = graph_milliseconds(lambda: _start(module, case.launches))

    def on_host() -> tuple[NDArray[np.int32], list[Any]]:
        return postprocess.panoptic(scene.logits, scene.masks, things=things, **scene.sizes)

    found, (expected, segments) = case.result(), on_host()
    off = int(np.count_nonzero(found.map != expected))
    same = [int(category) for category in found.segments["category"]] == [each.category_id for each in segments]
    return {
        "input": _text(box),
        "map": _text(output),
        "type": np.dtype(dtype).name,
        "candidates": len(found.candidates),
        "pixels off": off,
        "right": same and off <= 2 + 2 * expected.size // 1_000_000,
        "GPU ms": milliseconds,
        **dict(_parts(module, case)),
        "CPU ms": _host_milliseconds(on_host),
    }


def _parts(module: Module, case: MergeCase) -> Iterator[tuple[str, float]]:
    """Yield each kernel with its time; one that starts from its own results takes as long."""
    for launch in case.launches:
        yield f"{launch.kernel.split('_')[1]} ms", graph_milliseconds(lambda each=launch: _start(module, [each]))  # type: ignore[misc]


class OnGpu:
    """A copy of an array on the GPU."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._dtype, self._shape = array.dtype, array.shape
        self._bytes = torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy()).cuda()

    @property
    def address(self) -> int:
        """Of the array."""
        return int(self._bytes.data_ptr())

    def read(self) -> NDArray[Any]:
        """Return what it holds now."""
        return np.asarray(self._bytes.cpu().numpy().view(self._dtype).reshape(self._shape))


def _start(module: Module, launches: Sequence[Launch]) -> None:
    stream = torch.cuda.current_stream().cuda_stream
    for launch in launches:
        module.launch(launch.kernel, launch.blocks, THREADS, launch.shared, launch.argument, stream)


def _host_milliseconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(HOST_RUNS):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
