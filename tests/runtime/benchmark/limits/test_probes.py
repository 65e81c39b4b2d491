"""The hand-written models of convolutions and products are what they claim to be, and backends run them."""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends import Settings, available, create
from pem_edge.runtime.benchmark.measures.limits import bandwidth, compute, probes
from pem_edge.runtime.benchmark.measures.limits.probes import Probe
from pem_edge.runtime.errors import BackendError

SMALL = probes.convolution(8, 5, 7)
POINTWISE = probes.convolution(8, 5, 7, kernel=1)
PRODUCT = probes.product(6, 8)
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("probe", [SMALL, POINTWISE, PRODUCT, *compute.PROBES])
def test_the_models_are_valid(probe: Probe, precision: str) -> None:
    onnx.checker.check_model(onnx.load_from_string(probes.model(probe, precision)), full_check=True)


@pytest.mark.parametrize("probe", [SMALL, POINTWISE])
def test_they_compute_a_chain_of_convolutions(probe: Probe) -> None:
    weights, expected = weights_and_input(probe)
    kernel, pad = weights.shape[-1], weights.shape[-1] // 2
    for _ in range(probes.CHAIN):
        padded = np.pad(expected, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
        expected = np.einsum("nchwyx,dcyx->ndhw", windows, weights)
    np.testing.assert_allclose(run(probe, "fp32"), expected, rtol=1e-4, atol=1e-4)


def test_they_compute_a_chain_of_products() -> None:
    weights, expected = weights_and_input(PRODUCT)
    for _ in range(probes.CHAIN):
        expected = expected @ weights
    np.testing.assert_allclose(run(PRODUCT, "fp32"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("probe", [SMALL, PRODUCT])
def test_int8_stays_near_single_precision(probe: Probe) -> None:
    exact, rounded = (run(probe, precision) for precision in ("fp32", "int8"))
    assert 0 < np.abs(exact - rounded).mean() < 0.2 * np.abs(exact).mean()


def weights_and_input(probe: Probe) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weights = numpy_helper.to_array(onnx.load_from_string(probes.model(probe, "fp32")).graph.initializer[0])
    return weights, np.asarray(probe.example("fp32"), np.float32)


def run(probe: Probe, precision: str) -> NDArray[np.float32]:
    session = ort.InferenceSession(probes.model(probe, precision), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {probes.INPUT: probe.example(precision)})[0])


def test_macs_are_counted() -> None:
    assert SMALL.macs == probes.CHAIN * 9 * 8 * 8 * 5 * 7
    assert PRODUCT.macs == probes.CHAIN * 6 * 8 * 8


@pytest.mark.parametrize("backend", sorted({"onnxruntime", "openvino"} & set(available())))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_rates_of_this_machine(backend: str, precision: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "PROBES", (SMALL, PRODUCT))
    monkeypatch.setattr(compute, "_SECONDS", 0.0)
    monkeypatch.setattr(compute, "_TURN", 0.0)
    monkeypatch.setattr(compute, "_measured", {})
    loaded = create(backend, artifact.read(tiny), Settings(threads=1))
    found = compute.rates(loaded, precision)
    assert 0 < min(found.convolution, found.matrix) <= found.highest < math.inf
    assert compute.rates(loaded, precision) is found
    again = compute.rates(loaded, precision, anew=True)
    assert again.convolution >= found.convolution
    assert again.matrix >= found.matrix


def test_one_probe_is_open_at_a_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has as many threads as there are cores."""
    monkeypatch.setattr(compute, "PROBES", (SMALL, POINTWISE, PRODUCT))
    monkeypatch.setattr(compute, "_SECONDS", 0.0)
    monkeypatch.setattr(compute, "_TURN", 0.0)
    monkeypatch.setattr(compute, "_measured", {})
    loaded = create("onnxruntime", artifact.read(tiny), Settings(threads=1))
    opened = weakref.WeakSet[Bare]()
    at_once = []

    def open_bare(model: bytes) -> Bare:
        opened.add(found := Bare(ort.InferenceSession(model, providers=["CPUExecutionProvider"])))
        at_once.append(len(opened))
        return found

    monkeypatch.setattr(loaded, "open_bare", open_bare)
    compute.rates(loaded, "fp32")
    assert set(at_once) == {1}
    assert len(at_once) >= 2 * len(compute.PROBES), "they take turns"


@dataclass(eq=False)
class Bare:
    """A model that can be referred to weakly."""

    session: ort.InferenceSession

    def __call__(self, inputs: dict[str, NDArray[np.generic]]) -> object:
        return self.session.run(None, inputs)


def test_bandwidth_is_that_of_memory_that_was_written() -> None:
    """Pages that never were are all one page of zeros, which a cache holds whatever their number."""
    for call in (bandwidth._copy(1 << 16), bandwidth._read(1 << 16)):
        arrays = call.args
        assert all(array.all() for array in arrays)
        assert sum(array.nbytes for array in arrays) == 1 << 16
        assert len({array.ctypes.data for array in arrays}) == len(arrays)


def test_larger_working_sets_have_no_more_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([5.0, 7.0, 2.0, 3.0, *(9.0, 1.0, 4.0, 1.0)])
    monkeypatch.setattr(bandwidth, "_SIZES", (10, 20, 30, 40))
    monkeypatch.setattr(bandwidth, "_rate", lambda *_: next(measured))
    monkeypatch.setattr(bandwidth, "_measured", {})
    assert bandwidth.bandwidths(2) == ((10, 7), (20, 7), (30, 3), (40, 3))
    assert bandwidth.bandwidths(2) == ((10, 7), (20, 7), (30, 3), (40, 3)), "measured once"
    assert bandwidth.bandwidths(2, anew=True) == ((10, 9), (20, 7), (30, 4), (40, 3))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bandwidths_of_this_machine(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "_SIZES", (1 << 12, 1 << 14, 1 << 16))
    monkeypatch.setattr(bandwidth, "_SECONDS", 1e-5)
    monkeypatch.setattr(bandwidth, "_measured", {})
    assert all(0 < rate < math.inf for _, rate in bandwidth.bandwidths(threads))


@pytest.mark.timeout(60)
def test_threads_that_cannot_be_started_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that limits them; those that have started would wait for the others."""
    start, started = threading.Thread.start, itertools.count()

    def refuse(thread: threading.Thread) -> None:
        if next(started):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(bandwidth, "_SIZES", (1 << 12,))
    monkeypatch.setattr(bandwidth, "_measured", {})
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(BackendError, match="bandwidth cannot be measured: can't start new thread"):
        bandwidth.bandwidths(2)
