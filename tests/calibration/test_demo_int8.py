"""The demo model in INT8 segments streets that neither it nor its calibration has seen as well as before."""

from __future__ import annotations

from importlib.util import find_spec

import onnx
import pytest

from pem_edge import calibration
from pem_edge.calibration.activations.collect import collect
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.graph.index import Graph, names
from pem_edge.calibration.placement import Report, tensors
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.artifact import DEMO
from pem_edge.runtime.artifacts.sections import Placement, RangeMethod
from pem_edge.runtime.datasets.toy_streets import ToyStreets

TRAINED, HELD_OUT = 1, 7
"""Seeds of scenes that the demo weights' training saw and never saw."""

MOST_DROP = 1.0
SOURCE = artifact.read(DEMO)
STREETS = ToyStreets(40, seed=HELD_OUT)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(SOURCE.model)


@pytest.fixture(scope="module")
def statistics(model: onnx.ModelProto) -> Statistics:
    images = calibration.gather(ToyStreets(40, seed=TRAINED), SOURCE.manifest.input)
    return Statistics(collect(model, tensors(model), images), "demo", images.digest, len(images), images.size)


@pytest.fixture(scope="module")
def reference(model: onnx.ModelProto) -> float:
    return calibration.LabeledScore(SOURCE.manifest, STREETS)(model)


@pytest.fixture(scope="module", params=calibration.PLACEMENTS)
def placed(
    model: onnx.ModelProto, statistics: Statistics, request: pytest.FixtureRequest
) -> tuple[onnx.ModelProto, Report]:
    return calibration.quantize(model, statistics, request.param)


def test_panoptic_quality_is_kept(placed: tuple[onnx.ModelProto, Report], reference: float) -> None:
    drop = reference - calibration.LabeledScore(SOURCE.manifest, STREETS)(placed[0])
    assert drop <= MOST_DROP


def test_pairs_can_be_computed_as_they_are_written(model: onnx.ModelProto, statistics: Statistics) -> None:
    quantized, _ = calibration.quantize(model, statistics, "tensorrt", keep=["backbone.features.0"])
    fused = calibration.LabeledScore(SOURCE.manifest, STREETS)
    written = calibration.LabeledScore(SOURCE.manifest, STREETS, backend=None)
    assert written(model) == pytest.approx(fused(model), abs=0.01)
    assert written(model) - written(quantized) <= MOST_DROP


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_openvino_keeps_it_too_for_cpus(model: onnx.ModelProto, statistics: Statistics, reference: float) -> None:
    quantized, _ = calibration.quantize(model, statistics, "cpu")
    score = calibration.LabeledScore(SOURCE.manifest, STREETS, backend="openvino")
    assert reference - score(quantized) <= MOST_DROP


def test_all_ordinary_convolutions_are_in_int8(placed: tuple[onnx.ModelProto, Report]) -> None:
    quantized, report = placed
    assert report.share_of_convolutions >= 0.9
    assert 0.75 < report.share_of_all < report.share_of_convolutions
    assert {node.name for node in quantized.graph.node} >= set(report.int8)


@pytest.mark.parametrize("placement", calibration.PLACEMENTS)
@pytest.mark.parametrize("method", calibration.METHODS)
def test_every_method_agrees_with_single_precision_nearly_everywhere(
    model: onnx.ModelProto, statistics: Statistics, placement: Placement, method: RangeMethod
) -> None:
    images = calibration.gather(ToyStreets(6, seed=HELD_OUT), SOURCE.manifest.input)
    quantized, _ = calibration.quantize(model, statistics, placement, method)
    assert calibration.Agreement(SOURCE.manifest, model, images)(quantized) > 98


def test_correcting_biases_brings_the_means_of_the_outputs_closer(
    model: onnx.ModelProto, statistics: Statistics
) -> None:
    """Of all tensors together: what each convolution loses is passed on to the next."""
    images = calibration.gather(ToyStreets(6, seed=TRAINED), SOURCE.manifest.input)
    outputs = [names(node.outputs)[0] for node in Graph(model).nodes if node.op_type == "Conv"]
    exact = collect(model, outputs, images)
    shifts = {}
    for correct in (True, False):
        quantized, _ = calibration.quantize(model, statistics, "tensorrt", "max", correct_bias=correct)
        found = collect(quantized, outputs, images)
        shifts[correct] = sum(float(abs(found[key].means - exact[key].means).mean()) for key in exact)
    assert shifts[True] < 0.8 * shifts[False]


def test_tensorrt_rtx_builds_it_with_every_pair_fused_to_a_convolution(
    model: onnx.ModelProto, statistics: Statistics
) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    quantized, report = calibration.quantize(model, statistics, "tensorrt")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(quantized.SerializeToString()), parser.get_error(0).desc()
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    makers = {layer.get_output(0).name: layer for layer in layers}
    convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    int8 = [layer for layer in convolutions if makers[layer.get_input(0).name].type == trt.LayerType.DEQUANTIZE]
    assert len(int8) == len(report.int8)
    assert builder.build_serialized_network(network, builder.create_builder_config()) is not None
