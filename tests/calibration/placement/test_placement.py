"""Q/DQ pairs go where each engine's kernels fuse them, and compute nearly the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from pem_edge import calibration
from pem_edge.calibration.activations.collect import collect, run
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.graph.index import Graph, names
from pem_edge.calibration.placement import tensors
from pem_edge.runtime.artifacts.sections import Placement
from pem_edge.runtime.errors import CalibrationError
from tests.calibration.graphs import GRAPHS, SIZE, GraphBuilder, Noise, chain, concatenation, residual

IMAGES = Noise(8)
PLACEMENTS = calibration.PLACEMENTS


def statistics_of(model: onnx.ModelProto) -> Statistics:
    return Statistics(collect(model, tensors(model), IMAGES), "model", "noise", len(IMAGES), SIZE)


STATISTICS = {name: statistics_of(make()) for name, make in GRAPHS.items()}


def quantized(name: str, placement: Placement, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    return calibration.quantize(GRAPHS[name](kind), STATISTICS[name], placement)[0]


def inputs(graph: Graph, name: str) -> list[str]:
    """Return the names of what the node called ``name`` reads."""
    return names({each.name: each for each in graph.nodes}[name].inputs)


def constant(graph: Graph, tensor: str) -> NDArray[Any]:
    found = graph.constant(tensor)
    assert found is not None
    return found


def dequantized(graph: Graph, name: str) -> list[NDArray[Any]]:
    """Return the constants that the weights of the node called ``name`` are dequantized from."""
    maker = graph.maker(inputs(graph, name)[1])
    assert maker is not None
    return [constant(graph, tensor) for tensor in names(maker.inputs)]


def reads_quantized(graph: Graph, name: str, position: int = 0) -> bool:
    maker = graph.maker(inputs(graph, name)[position])
    return maker is not None and maker.op_type == "DequantizeLinear"


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_is_valid_and_computes_nearly_the_same(name: str, placement: Placement) -> None:
    model = quantized(name, placement)
    onnx.checker.check_model(model, full_check=True)
    for (expected,), (found,) in zip(
        run(GRAPHS[name](), ["logits"], IMAGES), run(model, ["logits"], IMAGES), strict=True
    ):
        assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", GRAPHS)
def test_every_convolution_reads_both_inputs_quantized(name: str, placement: Placement) -> None:
    graph = Graph(quantized(name, placement))
    convolutions = [str(each.name) for each in graph.nodes if each.op_type == "Conv"]
    assert convolutions
    assert all(reads_quantized(graph, each, 0) and reads_quantized(graph, each, 1) for each in convolutions)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", GRAPHS)
def test_weights_are_symmetric_per_channel_and_rounded_to_half_a_step(name: str, placement: Placement) -> None:
    before, graph = Graph(GRAPHS[name]()), Graph(quantized(name, placement))
    for each in graph.nodes:
        if each.op_type != "Conv":
            continue
        levels, steps, zero = dequantized(graph, str(each.name))
        original = constant(before, inputs(before, str(each.name))[1])
        assert levels.dtype == np.int8
        assert steps.shape == (len(levels),)
        assert not zero.any()
        assert np.abs(levels).reshape(len(levels), -1).max(axis=1).min() == 127
        assert np.all(np.abs(levels * steps.reshape(-1, 1, 1, 1) - original) <= 0.501 * steps.reshape(-1, 1, 1, 1))


@pytest.mark.parametrize("name", GRAPHS)
def test_for_tensorrt_activations_are_symmetric_and_biases_real(name: str) -> None:
    graph = Graph(quantized(name, "tensorrt"))
    for each in graph.nodes:
        if each.op_type == "QuantizeLinear":
            zero = graph.constant(names(each.inputs)[2])
            assert zero is not None
            assert zero.dtype == np.int8
            assert zero == 0
        if each.op_type == "Conv":
            assert graph.dtype(names(each.inputs)[2]) == ir.DataType.FLOAT
            assert graph.constant(names(each.inputs)[2]) is not None


@pytest.mark.parametrize("name", GRAPHS)
def test_for_tensorrt_nothing_stands_between_a_convolution_and_its_relu(name: str) -> None:
    graph = Graph(quantized(name, "tensorrt"))
    for each in graph.nodes:
        if each.op_type == "Relu":
            maker = graph.maker(names(each.inputs)[0])
            assert maker is not None
            assert maker.op_type in ("Conv", "Add")


def test_for_tensorrt_only_the_identity_of_a_residual_sum_is_quantized() -> None:
    graph = Graph(quantized("residual", "tensorrt"))
    assert [reads_quantized(graph, "backbone.res2.0/Add", position) for position in (0, 1)] == [False, True]


def test_for_cpus_both_summands_are_quantized() -> None:
    graph = Graph(quantized("residual", "cpu"))
    assert all(reads_quantized(graph, "backbone.res2.0/Add", position) for position in (0, 1))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_what_is_concatenated_shares_one_scale(placement: Placement) -> None:
    graph = Graph(quantized("concatenation", placement))
    joined = inputs(graph, "backbone.features.2/Concat")
    pooled = inputs(graph, "backbone.features.2.skip/AveragePool")
    after = inputs(graph, "backbone.features.3.convs.0.conv/Conv")
    makers = [graph.maker(name) for name in (*joined, pooled[0], after[0])]
    assert {maker.op_type for maker in makers if maker} == {"DequantizeLinear"}
    assert len({float(graph.constant(names(maker.inputs)[1])) for maker in makers if maker}) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", GRAPHS)
def test_quantizing_twice_is_quantizing_once(name: str, placement: Placement) -> None:
    once = quantized(name, placement)
    twice, report = calibration.quantize(once, STATISTICS[name], placement)
    assert twice == once
    assert report.int8


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_model_that_is_given_stays_as_it_is(placement: Placement) -> None:
    model = chain()
    calibration.quantize(model, STATISTICS["chain"], placement)
    assert model == chain()


@pytest.mark.parametrize("name", GRAPHS)
def test_onnxruntime_fuses_every_convolution_for_cpus(name: str, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    model = quantized(name, "cpu")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [each.op_type for each in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert kinds.count("QLinearConv") == sum(each.op_type == "Conv" for each in model.graph.node)
    assert "Conv" not in kinds
    assert "Relu" not in kinds


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_in_half_takes_the_ranges_of_the_one_in_single(name: str) -> None:
    model = quantized(name, "tensorrt", TensorProto.FLOAT16)
    graph = Graph(model)
    onnx.checker.check_model(model, full_check=True)
    scales = [graph.dtype(names(each.inputs)[1]) for each in graph.nodes if each.op_type.endswith("QuantizeLinear")]
    assert set(scales) == {ir.DataType.FLOAT16}
    convolutions = [each for each in graph.nodes if each.op_type == "Conv"]
    assert {graph.dtype(names(each.outputs)[0]) for each in convolutions} == {ir.DataType.FLOAT16}
    both = (run(each, ["logits"], IMAGES) for each in (GRAPHS[name](), model))
    for (expected,), (found,) in zip(*both, strict=True):
        assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).max()


def test_cpus_have_no_kernels_for_int8_beside_half() -> None:
    with pytest.raises(
        CalibrationError, match=r"^the placement 'cpu' takes graphs in single precision, .*: export .*$"
    ):
        calibration.quantize(chain(TensorProto.FLOAT16), STATISTICS["chain"], "cpu")


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_block_that_is_kept_computes_as_before(placement: Placement) -> None:
    model, report = calibration.quantize(residual(), STATISTICS["residual"], placement, keep=["backbone.res2.0"])
    graph = Graph(model)
    convolutions = [str(each.name) for each in graph.nodes if each.op_type == "Conv"]
    inside = [name for name in convolutions if name.startswith("backbone.res2.0")]
    assert inside
    assert not any(reads_quantized(graph, name, 1) for name in inside)
    assert report.kept == ("backbone.res2.0",)
    assert report.int8 == ("backbone.stem.conv/Conv", "backbone.res3.0.conv1.conv/Conv")


def test_with_every_block_kept_the_graph_is_unchanged() -> None:
    model = residual()
    kept = calibration.blocks(model)
    assert kept == ["backbone.stem", "backbone.res2.0", "backbone.res3.0"]
    assert calibration.quantize(model, STATISTICS["residual"], keep=kept)[0] == model


def test_the_share_is_of_multiply_accumulates() -> None:
    _, report = calibration.quantize(chain(), STATISTICS["chain"], keep=["backbone.features.0"])
    assert report.share_of_convolutions == pytest.approx(8 * 4 / (3 * 8 + 8 * 4))
    assert report.share_of_all == report.share_of_convolutions


def test_statistics_of_another_model_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"^the statistics lack \d tensors of the model, normalize/Div|backbone"):
        calibration.quantize(concatenation(), STATISTICS["chain"])


@pytest.mark.parametrize(
    ("placement", "kind"),
    [("cpu", TensorProto.FLOAT), ("tensorrt", TensorProto.FLOAT), ("tensorrt", TensorProto.FLOAT16)],
)
def test_dead_channels_make_no_zero_scale(placement: Placement, kind: int) -> None:
    model = chain(kind)
    for tensor in model.graph.initializer:
        if tensor.name == "backbone.features.0.conv.weight":
            tensor.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(tensor), tensor.name))
    quantized, _ = calibration.quantize(model, STATISTICS["chain"], placement)
    graph = Graph(quantized)
    for each in graph.nodes:
        if each.op_type.endswith("QuantizeLinear"):
            scale = graph.constant(names(each.inputs)[1])
            assert scale is not None
            assert scale.min() > 0
    (values,) = next(run(quantized, ["logits"], IMAGES))
    assert np.isfinite(values).all()


def transformer(kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Linear layers of a transformer over pixels, one of them for offsets, and one of the decoder's."""
    build, random = GraphBuilder(kind), np.random.default_rng(0)
    tokens = build.node("Transpose", [build.image], "backbone/Transpose", perm=[0, 2, 3, 1])
    for name in (*LINEARS, "pixel_decoder.encoder.layers.0.attention.offsets", "decoder.layers.0.feedforward.expand"):
        width = 3 if name == LINEARS[0] else 8
        weights = build.constant(f"{name}.weight", random.normal(size=(width, 8)) / np.sqrt(width))
        bias = build.constant(f"{name}.bias", random.normal(size=8) / 4)
        tokens = build.node("Add", [build.node("MatMul", [tokens, weights], f"{name}/MatMul"), bias], f"{name}/Add")
    return build.model(tokens)


LINEARS = ("backbone.stages.0.0.expand", "pixel_decoder.encoder.layers.0.attention.values")


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_linear_layers_over_pixels_are_quantized_but_for_those_that_say_where_to_look(placement: Placement) -> None:
    model = transformer()
    quantized, report = calibration.quantize(model, statistics_of(model), placement)
    onnx.checker.check_model(quantized, full_check=True)
    graph = Graph(quantized)
    products = [str(each.name) for each in graph.nodes if each.op_type == "MatMul"]
    read = [name for name in products if reads_quantized(graph, name, 1)]
    assert read == [f"{name}/MatMul" for name in LINEARS]
    assert all(reads_quantized(graph, name) for name in read)
    assert set(report.int8) == set(read)
    assert calibration.blocks(model, placement) == ["backbone.stages.0.0", "pixel_decoder.encoder.layers.0.attention"]
    for (expected,), (found,) in zip(run(model, ["logits"], IMAGES), run(quantized, ["logits"], IMAGES), strict=True):
        assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).max()


Move = Callable[[GraphBuilder, str], str]
MOVES: dict[str, Move] = {
    "nothing": lambda _build, joined: joined,
    "Identity": lambda build, joined: build.node("Identity", [joined], "backbone/Identity"),
    "Dropout": lambda build, joined: build.node("Dropout", [joined], "backbone/Dropout"),
    "Reshape": lambda build, joined: build.node(
        "Reshape", [joined, build.whole("shape", 0, 0, 0, 0)], "backbone/Reshape"
    ),
    "Slice": lambda build, joined: build.node(
        "Slice", [joined, build.whole("first", 0), build.whole("last", 1000), build.whole("axis", 1)], "backbone/Slice"
    ),
    "two transpositions": lambda build, joined: build.node(
        "Transpose",
        [build.node("Transpose", [joined], "backbone/there/Transpose", perm=[0, 2, 1, 3])],
        "backbone/back/Transpose",
        perm=[0, 2, 1, 3],
    ),
    "Unsqueeze, Squeeze": lambda build, joined: build.node(
        "Squeeze",
        [build.node("Unsqueeze", [joined, build.whole("new", 1)], "backbone/Unsqueeze"), build.whole("old", 1)],
        "backbone/Squeeze",
    ),
}
"""Operators that change nothing between a concatenation and the linear layer that reads it."""


def joined_tokens(move: Move) -> onnx.ModelProto:
    """Return a linear layer over pixels that are joined first, as Swin joins the two sides of its maps."""
    build, name = GraphBuilder(TensorProto.FLOAT), "backbone.stages.0.1.attention"
    tokens = build.node("Transpose", [build.image], "backbone/Transpose", perm=[0, 2, 3, 1])
    tokens = build.node("Sub", [tokens, build.constant("mean", np.array(1.5))], "backbone/Sub")
    joined = build.node("Concat", [tokens, build.node("Neg", [tokens], "backbone/Neg")], f"{name}/Concat", axis=2)
    weights = build.constant("weights", np.random.default_rng(0).normal(size=(3, 8)))
    return build.model(build.node("MatMul", [move(build, joined), weights], f"{name}/MatMul"))


@pytest.mark.parametrize("moved", MOVES)
def test_openvino_loads_linear_layers_over_joined_tokens(moved: str, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = joined_tokens(MOVES[moved])
    quantized, report = calibration.quantize(model, statistics_of(model), "cpu")
    assert len(report.int8) == 1
    onnx.save(quantized, tmp_path / "int8.onnx")
    compiled = openvino.compile_model(tmp_path / "int8.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for image, (expected,) in zip(IMAGES, run(model, ["logits"], IMAGES), strict=True):
        found = compiled(image)["logits"]
        assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize(("placement", "expected"), [("tensorrt", False), ("cpu", True)])
def test_the_product_of_gathered_samples_is_quantized_for_cpus_alone(placement: Placement, expected: bool) -> None:
    build, name = GraphBuilder(TensorProto.FLOAT), "pixel_decoder.levels.0.deform.operator/MatMul"
    samples = build.node("Transpose", [build.image], "backbone/Transpose", perm=[0, 2, 3, 1])
    weights = build.constant("weights", np.random.default_rng(0).normal(size=(3, 8)))
    model = build.model(build.node("MatMul", [samples, weights], name))
    quantized, report = calibration.quantize(model, statistics_of(model), placement)
    assert reads_quantized(Graph(quantized), name) is expected
    assert report.int8 == ((name,) if expected else ())


def test_weights_of_linear_layers_are_rounded_to_half_a_step_of_their_output() -> None:
    model = transformer()
    before, graph = Graph(model), Graph(calibration.quantize(model, statistics_of(model), "tensorrt")[0])
    for name in (f"{name}/MatMul" for name in LINEARS):
        levels, steps, _ = dequantized(graph, name)
        original = constant(before, inputs(before, name)[1])
        assert np.abs(levels).max(axis=0).min() == 127
        assert np.all(np.abs(levels * steps - original) <= 0.501 * steps)
