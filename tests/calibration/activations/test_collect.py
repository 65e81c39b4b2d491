"""Statistics are those of the values that the model computes, however many passes it takes."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from pem_edge.calibration.activations import collect
from pem_edge.calibration.placement import tensors
from pem_edge.runtime.errors import CalibrationError
from tests.calibration.graphs import GRAPHS, Noise, chain
from tests.calibration.terminal import Terminal


@pytest.mark.parametrize("name", GRAPHS)
def test_statistics_are_those_of_the_values_computed_one_by_one(name: str) -> None:
    model, images = GRAPHS[name](), Noise(3)
    wanted = tensors(model)
    found = collect.collect(model, wanted, images)
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in wanted)
    evaluator = ReferenceEvaluator(whole)
    runs = [evaluator.run(wanted, {"image": image}) for image in images]
    for statistics, values in zip(found.values(), zip(*runs, strict=True), strict=True):
        stacked = np.concatenate(values)
        assert statistics.histogram.total == stacked.size
        assert statistics.histogram.maximum == pytest.approx(stacked.max(), rel=1e-5)
        np.testing.assert_allclose(statistics.means, stacked.mean(axis=(0, 2, 3)), rtol=1e-3, atol=1e-5)


def test_several_passes_find_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = GRAPHS["residual"](), Noise(2)
    at_once = collect.collect(model, tensors(model), images)
    monkeypatch.setattr(collect, "BUDGET", 1)
    one_by_one = collect.collect(model, tensors(model), images)
    assert list(one_by_one) == list(at_once)
    for key, expected in at_once.items():
        assert one_by_one[key].histogram.maximum == pytest.approx(expected.histogram.maximum, rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_name_the_first_layer_that_has_them(value: float) -> None:
    model = chain()
    bias = next(each for each in model.graph.initializer if each.name == "backbone.features.0.conv.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(8, value, np.float32), bias.name))
    with pytest.raises(CalibrationError, match=r"^layer backbone\.features\.0/Relu computes NaN or infinity on .*$"):
        collect.collect(model, tensors(model), Noise(2))


def test_progress_goes_to_standard_error_if_that_is_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, terminal = chain(), Terminal()
    collect.collect(model, tensors(model), Noise(2))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", terminal)
    collect.collect(model, tensors(model), Noise(2))
    assert "calibrating: 100%" in terminal.getvalue()
    assert capsys.readouterr().out == ""
