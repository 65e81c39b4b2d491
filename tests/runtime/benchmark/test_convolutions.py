"""The hand-written convolution models are what they claim to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.backends import Settings, available, create
from pem_edge.runtime.benchmark.measures import convolutions, rates
from pem_edge.runtime.benchmark.measures.convolutions import Shape

SMALL = Shape(channels=8, height=5, width=7)
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [SMALL, *rates.SHAPES])
def test_the_models_are_valid(shape: Shape, precision: str) -> None:
    onnx.checker.check_model(onnx.load_from_string(convolutions.model(shape, precision)), full_check=True)


def test_they_compute_a_chain_of_convolutions() -> None:
    model = convolutions.model(SMALL, "fp32")
    weights = numpy_helper.to_array(onnx.load_from_string(model).graph.initializer[0])
    image = SMALL.example("fp32")
    expected = np.asarray(image)
    for _ in range(convolutions.CHAIN):
        padded = np.pad(expected, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        expected = np.einsum("nchwyx,dcyx->ndhw", windows, weights)
    np.testing.assert_allclose(run(model, image), expected, atol=1e-4)


def test_int8_stays_near_single_precision() -> None:
    exact, rounded = (
        run(convolutions.model(SMALL, precision), SMALL.example("fp32")) for precision in ("fp32", "int8")
    )
    assert 0 < np.abs(exact - rounded).mean() < 0.1 * np.abs(exact).mean()


def run(model: bytes, image: NDArray[Any]) -> NDArray[Any]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {convolutions.INPUT: image})[0])


def test_macs_are_counted() -> None:
    assert SMALL.macs == 4 * 9 * 8 * 8 * 5 * 7
    assert len({shape.macs for shape in rates.SHAPES}) == 1


@pytest.mark.parametrize("backend", sorted({"onnxruntime", "openvino"} & set(available())))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_rates_of_this_machine(backend: str, precision: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SHAPES", (SMALL,))
    monkeypatch.setattr(rates, "_SQUARE", 64)
    monkeypatch.setattr(rates, "_COPIED", 1 << 20)
    monkeypatch.setattr(rates, "_convolution_rates", {})
    for measured in (rates.matrix_rate, rates.bandwidth):
        measured.cache_clear()
    work = Work(
        macs={"Conv": 600, "MatMul": 400},
        parameters=1,
        weight_bytes=30,
        activation_bytes=12,
        height=32,
        width=32,
        batch=1,
    )
    loaded = create(backend, artifact.read(tiny), Settings(threads=1))
    found = rates.measure(loaded, work, 2.0, precision)
    assert (found.macs, found.bytes_moved, found.reached) == (1000, 42, 500_000)
    assert found.convolution is not None
    assert found.fraction == found.reached / found.convolution
    assert min(found.matrix or 0, found.bandwidth or 0) > 0
    for measured in (rates.matrix_rate, rates.bandwidth):
        measured.cache_clear()
