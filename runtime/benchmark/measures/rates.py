"""How close an artifact comes to the machine, whose rates are measured on the spot."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from pem_edge.runtime.artifacts.manifest import Work
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.benchmark.measures import convolutions
from pem_edge.runtime.benchmark.measures.convolutions import Shape
from pem_edge.runtime.benchmark.schema import Rate
from pem_edge.runtime.machine import usable_cpus

SHAPES = (Shape(64, 128, 256), Shape(128, 64, 128), Shape(256, 32, 64))
"""As they are in the backbones at 512x1024, with equally many multiply-accumulates."""

_RUNS = 10
_SQUARE = 2048  # three matrices of 16 MB, worked on block by block in the caches
_COPIED = 1 << 27  # bytes, more than caches hold


def measure(
    work: Work, milliseconds: float, backend: str, settings: Settings, precision: str, *, on_gpu: bool = False
) -> Rate:
    """The rate of ``work`` in ``milliseconds``, and what convolutions of that precision reach in the same backend.

    Of a GPU (``on_gpu``) only the bandwidth is measured. Raises BackendError if even that cannot be.
    """
    reached = work.macs_total / milliseconds * 1000
    convolution = None if on_gpu else convolution_rate(backend, settings, precision)
    return Rate(
        macs=work.macs_total,
        reached=reached,
        convolution=convolution,
        matrix=None if on_gpu else matrix_rate(),
        fraction=reached / convolution if convolution else None,
        bytes_moved=work.weight_bytes + work.activation_bytes,
        bandwidth=gpu_bandwidth() if on_gpu else bandwidth(),
    )


@cache
def convolution_rate(backend: str, settings: Settings, precision: str) -> float:
    """Multiply-accumulates a second of the fastest of `SHAPES`, each by its median time."""
    return max(shape.macs / _median(_session(backend, settings, precision, shape)) for shape in SHAPES)


@cache
def matrix_rate() -> float:
    """Multiply-accumulates a second of NumPy's single-precision product of squares, in as many threads as it takes."""
    left, right = np.random.default_rng(0).random((2, _SQUARE, _SQUARE), np.float32)
    result = np.empty_like(left)
    return float(_SQUARE**3 / _median(lambda: np.matmul(left, right, out=result)))


@cache
def bandwidth() -> float:
    """Bytes a second that all usable CPUs read and write together when they copy."""
    source, target = np.ones(_COPIED, np.uint8), np.empty(_COPIED, np.uint8)
    parts = [slice(*ends) for ends in _parts(_COPIED, usable_cpus())]
    with ThreadPoolExecutor(len(parts)) as pool:
        return 2 * _COPIED / _median(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), parts)))


@cache
def gpu_bandwidth() -> float:
    """Bytes a second that the GPU reads and writes when it copies within its memory. Raises BackendError."""
    from pem_edge.runtime.backends.cuda.driver import Gpu, Memory, call, copy

    with Gpu().current():
        source, target = Memory(_COPIED), Memory(_COPIED)
        try:

            def copies() -> None:
                for _ in range(_RUNS):
                    copy(target.address, source.address, _COPIED, 0)
                call("cudaDeviceSynchronize")

            return 2 * _RUNS * _COPIED / _median(copies)
        finally:
            source.close()
            target.close()


def _session(backend: str, settings: Settings, precision: str, shape: Shape) -> Callable[[], object]:
    model, inputs = convolutions.model(shape, precision), {convolutions.INPUT: shape.example(precision)}
    if backend == "openvino":
        from pem_edge.runtime.backends import openvino

        compiled = openvino.core().compile_model(openvino.core().read_model(model), "CPU", openvino.options(settings))
        request = compiled.create_infer_request()
        return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)
    import onnxruntime as ort

    from pem_edge.runtime.backends import onnxruntime

    session = ort.InferenceSession(model, onnxruntime.options(settings), providers=onnxruntime.providers())
    return lambda: session.run(None, inputs)


def _median(call: Callable[[], object]) -> float:
    """Of the seconds of a call, after two that warm up."""
    seconds = []
    for _ in range(2 + _RUNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def _parts(size: int, count: int) -> list[tuple[int, int]]:
    ends = [size * index // count for index in range(count + 1)]
    return list(pairwise(ends))
