"""What engines and networks say of their layers' types, and when that is proof of a precision."""

from __future__ import annotations

import json

import pytest

from pem_edge.export.engine.layers import Layer, Report, read_inspector, require_precision
from pem_edge.runtime.errors import ExportError


def layer(name: str, kind: str, described: str | None, key: str = "Format/Datatype") -> dict[str, object]:
    outputs = [{"Name": "out", "Dimensions": [1, 8]} | ({} if described is None else {key: described})]
    return {"Name": name, "LayerType": kind, "Inputs": [], "Outputs": outputs}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ("Half", "float16"),
        ("Float", "float32"),
        ("Row major linear FP32", "float32"),
        ("Channel major FP16 format where channel % 8 == 0", "float16"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("Int64", "int64"),
        ("Bool", "bool"),
        ("UINT8", "uint8"),
        ("something of the future", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_inspector_describes_types_in_several_ways(described: str | None, expected: str) -> None:
    report = read_inspector(json.dumps({"Layers": [layer("a", "kgen", described)], "Bindings": ["image"]}))
    assert report is not None
    assert (report.source, report.counts()) == ("engine", {expected: 1})


@pytest.mark.parametrize("key", ["Format/Datatype", "Datatype", "DataType"])
def test_keys_of_several_releases_are_known(key: str) -> None:
    report = read_inspector(json.dumps({"Layers": [layer("a", "gemm", "Half", key)]}))
    assert report is not None
    assert report.counts() == {"float16": 1}


@pytest.mark.parametrize("layers", [[], ["only", "names"]])
def test_an_engine_that_says_no_more_than_names_gives_no_report(layers: list[str]) -> None:
    assert read_inspector(json.dumps({"Layers": layers})) is None


def test_a_layer_without_outputs_is_counted() -> None:
    report = read_inspector(json.dumps({"Layers": [{"Name": "signal", "LayerType": "signal"}]}))
    assert report is not None
    assert report.counts() == {"unknown": 1}


def network(*convolutions: str) -> Report:
    layers = [Layer(str(index), "CONVOLUTION", kind) for index, kind in enumerate(convolutions)]
    return Report("network", [*layers, *[Layer("x", "ELEMENTWISE", "float32")] * 50], [])


def test_convolutions_decide_and_islands_do_not() -> None:
    require_precision(network("float16", "float16", "float32"), "fp16", "x.onnx")
    require_precision(network("float32", "float32"), "fp32", "x.onnx")
    for report, precision in (
        (network("float32", "float32", "float16"), "fp16"),
        (network("float32"), "fp16"),
        (network("float16", "float16"), "fp32"),
        (network(), "fp16"),
    ):
        with pytest.raises(ExportError, match=f"x.onnx claims {precision}, but .*--precision {precision}"):
            require_precision(report, precision, "x.onnx")


def engine(**counts: int) -> Report:
    return Report("engine", [Layer("x", "kgen", kind) for kind, count in counts.items() for _ in range(count)], [])


def test_an_engine_must_have_more_than_a_few_layers_of_its_precision() -> None:
    require_precision(engine(float16=100, float32=80, int64=300), "fp16", "the engine")
    require_precision(engine(float32=80, int64=300), "fp32", "the engine")
    with pytest.raises(ExportError, match="3 of its 103 layers compute in float16"):
        require_precision(engine(float16=3, float32=100), "fp16", "the engine")


def test_an_engine_that_does_not_tell_types_proves_nothing_against_it() -> None:
    require_precision(engine(unknown=40), "fp16", "the engine")
