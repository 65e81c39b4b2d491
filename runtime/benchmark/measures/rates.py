"""Compares an artifact's rate with the rates that this machine reaches, which are measured here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.benchmark.measures import convolutions
from pem_edge.runtime.benchmark.measures.convolutions import Shape
from pem_edge.runtime.benchmark.schema import Rate
from pem_edge.runtime.inference.backend import SegmenterBackend
from pem_edge.runtime.machine import usable_cpus

SHAPES = (Shape(64, 128, 256), Shape(128, 64, 128), Shape(256, 32, 64))
"""As they are in the backbones at 512x1024, with equally many multiply-accumulates."""

_RUNS = 10
_SQUARE = 2048  # three matrices of 16 MB, worked on block by block in the caches
_COPIED = 1 << 27  # bytes, more than caches hold

_convolution_rates: dict[tuple[str, tuple[tuple[str, str | int | bool], ...], str], float] = {}


def measure(backend: SegmenterBackend, work: Work, milliseconds: float, precision: str) -> Rate:
    """Return the rate of ``work`` in ``milliseconds``, and what convolutions of that precision reach in ``backend``.

    Of a GPU only the bandwidth is measured. Raises BackendError if even that cannot be.
    """
    on_gpu = backend.device == "gpu"
    reached = work.macs_total / milliseconds * 1000
    convolution = None if on_gpu else convolution_rate(backend, precision)
    return Rate(
        macs=work.macs_total,
        reached=reached,
        convolution=convolution,
        matrix=None if on_gpu else matrix_rate(),
        fraction=reached / convolution if convolution else None,
        bytes_moved=work.weight_bytes + work.activation_bytes,
        bandwidth=gpu_bandwidth() if on_gpu else bandwidth(),
    )


def convolution_rate(backend: SegmenterBackend, precision: str) -> float:
    """Return the multiply-accumulates per second of the fastest of `SHAPES`, each by its median time.

    Backends of one name and equal settings are measured once in a process.
    """
    key = backend.name, tuple(sorted(backend.settings().items())), precision
    if key not in _convolution_rates:
        _convolution_rates[key] = max(shape.macs / _seconds(backend, precision, shape) for shape in SHAPES)
    return _convolution_rates[key]


@cache
def matrix_rate() -> float:
    """Return the multiply-accumulates per second of NumPy's product of square matrices in single precision."""
    left, right = np.random.default_rng(0).random((2, _SQUARE, _SQUARE), np.float32)
    result = np.empty_like(left)
    return float(_SQUARE**3 / _median(lambda: np.matmul(left, right, out=result)))


@cache
def bandwidth() -> float:
    """Return bytes per second that all usable CPUs read and write together when they copy."""
    source, target = np.ones(_COPIED, np.uint8), np.empty(_COPIED, np.uint8)
    parts = [slice(*ends) for ends in _parts(_COPIED, usable_cpus())]
    with ThreadPoolExecutor(len(parts)) as pool:
        return 2 * _COPIED / _median(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), parts)))


@cache
def gpu_bandwidth() -> float:
    """Return bytes per second that the GPU reads and writes when it copies within its memory. Raises BackendError."""
    # Needs cuda-bindings, which only GPU machines have.
    from pem_edge.runtime.backends.cuda.driver import Gpu, Memory
    from pem_edge.runtime.backends.cuda.streams import Stream

    with (
        Gpu().current(),
        closing(Memory(_COPIED)) as source,
        closing(Memory(_COPIED)) as target,
        closing(Stream()) as stream,
    ):

        def copies() -> None:
            for _ in range(_RUNS):
                stream.copy(target.address, source.address, _COPIED)
            stream.synchronize()

        return 2 * _RUNS * _COPIED / _median(copies)


def _seconds(backend: SegmenterBackend, precision: str, shape: Shape) -> float:
    run = backend.open_bare(convolutions.model(shape, precision))
    inputs: dict[str, NDArray[np.generic]] = {convolutions.INPUT: shape.example(precision)}
    return _median(lambda: run(inputs))


def _median(call: Callable[[], object]) -> float:
    """Return the median seconds of a call, after two that warm up."""
    seconds = []
    for _ in range(2 + _RUNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def _parts(size: int, count: int) -> list[tuple[int, int]]:
    ends = [size * index // count for index in range(count + 1)]
    return list(pairwise(ends))
