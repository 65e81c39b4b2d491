"""Measures the highest rates of multiply-accumulates that a backend reaches in a precision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.measures.limits import probes
from pem_edge.runtime.benchmark.measures.limits.probes import convolution, product
from pem_edge.runtime.inference.backend import SegmenterBackend

PROBES = (
    *(convolution(64, 16, 32), convolution(64, 64, 128), convolution(128, 16, 32)),
    *(convolution(256, 8, 16), convolution(256, 32, 64), convolution(512, 8, 16), convolution(1024, 8, 16, kernel=1)),
    *(product(256, 256), product(1600, 384), product(512, 512), product(1024, 1024)),
)
"""Shapes as networks have them. Which is the fastest depends on the machine, the backend and the precision; where a
library computes convolutions of 3x3 with fewer multiplications (Winograd), their rate is higher by as much. The small
ones are over before another process interrupts them."""

_SECONDS, _FEWEST_ROUNDS = 2.0, 3
_TURN = 0.02
"""Seconds that each probe runs in a round, but at least once: short ones have more chances to run undisturbed."""


@dataclass(frozen=True)
class ComputeRates:
    """The highest rates of convolutions and of matrix products, in multiply-accumulates per second."""

    convolution: float
    matrix: float

    @property
    def highest(self) -> float:
        """The rate that is the limit: the higher one."""
        return max(self.convolution, self.matrix)


_measured: dict[tuple[str, tuple[tuple[str, str | int | bool], ...], str], ComputeRates] = {}


def rates(backend: SegmenterBackend, precision: str, *, anew: bool = False) -> ComputeRates:
    """Return the rates of the fastest of `PROBES`, each by its fastest run.

    Backends of one name and equal settings are measured once in a process.

    Args:
        backend: The backend.
        precision: The precision, "fp32", "fp16" or "int8".
        anew: Whether to measure once more. The higher rates count.

    Raises:
        BackendError: If the backend cannot load ONNX models.
    """
    key = backend.name, tuple(sorted(backend.settings().items())), precision
    before = _measured.get(key)
    if before is None or anew:
        found = _measure(backend, precision)
        _measured[key] = found if before is None else _higher(found, before)
    return _measured[key]


def _measure(backend: SegmenterBackend, precision: str) -> ComputeRates:
    seconds = _fastest(
        [
            partial(_open, backend, probes.model(probe, precision), {probes.INPUT: probe.example(precision)})
            for probe in PROBES
        ]
    )
    reached = {
        operator: max(p.macs / s for p, s in zip(PROBES, seconds, strict=True) if p.operator == operator)
        for operator in ("Conv", "MatMul")
    }
    return ComputeRates(convolution=reached["Conv"], matrix=reached["MatMul"])


def _open(backend: SegmenterBackend, model: bytes, inputs: dict[str, NDArray[np.generic]]) -> Callable[[], object]:
    return partial(backend.open_bare(model), inputs)


def _fastest(openers: Sequence[Callable[[], Callable[[], object]]]) -> list[float]:
    """Return the least seconds of what each opens; all take turns, so that none is measured on a slower machine alone.

    Each is opened for its turn: every session of ONNX Runtime has threads of its own, as many as there are cores, and a
    container may not allow those of all sessions together.
    """
    least = [math.inf] * len(openers)
    end, rounds = time.perf_counter() + _SECONDS, 0
    while rounds < _FEWEST_ROUNDS or time.perf_counter() < end:
        least = [min(before, _fastest_of_turn(opener())) for before, opener in zip(least, openers, strict=True)]
        rounds += 1
    return least


def _fastest_of_turn(call: Callable[[], object]) -> float:
    least, before = math.inf, time.perf_counter()
    end = before + _TURN
    while math.isinf(least) or before < end:
        call()
        now = time.perf_counter()
        least, before = min(least, now - before), now
    return least


def _higher(one: ComputeRates, other: ComputeRates) -> ComputeRates:
    return ComputeRates(max(one.convolution, other.convolution), max(one.matrix, other.matrix))
