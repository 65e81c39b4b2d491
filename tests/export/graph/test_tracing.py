"""Exported graphs are clean: what is constant is stored, what is not needed is gone, nodes can be told apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from pem_edge import pem
from pem_edge.export.graph import passes, tracing
from pem_edge.export.graph.operation_forms import DeformConvForm, Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.pem.decoder import MaskDecoder
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.backends.tensorrt.plugins import operator
from pem_edge.runtime.errors import ExportError
from reference.published_form import ReferenceForm
from reference.weights import randomized

SPEC = InputSpec(height=96, width=128)
DYNAMIC = InputSpec(height=64, width=96, dynamic_height=Range(64, 64, 128), dynamic_width=Range(64, 96, 128))


@pytest.fixture(scope="module")
def model() -> pem.MaskClassifier:
    return prepare(randomized(pem.build("pem-nano", num_classes=5)), Forms())


@pytest.fixture(scope="module")
def static(model: pem.MaskClassifier) -> onnx.ModelProto:
    return tracing.to_onnx(model, tracing.example_for(SPEC))


def operators(proto: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def computed_from_constants(proto: onnx.ModelProto) -> list[str]:
    constants = {tensor.name for tensor in proto.graph.initializer} | {""}
    return [node.name for node in proto.graph.node if set(node.input) <= constants]


def test_at_a_fixed_size_nothing_is_computed_from_constants_alone(static: onnx.ModelProto) -> None:
    assert computed_from_constants(static) == []


@pytest.mark.parametrize("form", ["standard", "native", "gather", "plugin"])
def test_nor_in_half_precision_whatever_the_form(form: DeformConvForm) -> None:
    model = randomized(pem.build("pem-nano", num_classes=5))
    half = tracing.to_onnx(prepare(model, Forms(deform_conv=form, precision="fp16")), tracing.example_for(SPEC))
    assert computed_from_constants(half) == []


def test_gridsample_is_the_one_of_opset_16_whose_successor_tensorrt_computes_wrongly(static: onnx.ModelProto) -> None:
    assert "GridSample" in operators(static)
    assert {each.domain: each.version for each in static.opset_import} == {"": tracing.OPSET}
    assert 16 <= tracing.OPSET < 20


def test_the_plugin_form_is_the_native_one_in_fewer_nodes() -> None:
    model = randomized(pem.build("pem-nano", num_classes=5))
    plugin = tracing.to_onnx(prepare(model, Forms(deform_conv="plugin")), tracing.example_for(SPEC))
    native = tracing.to_onnx(prepare(model, Forms(deform_conv="native")), tracing.example_for(SPEC))
    fewer = operators(native) - operators(plugin)
    assert fewer == {"DeformConv": 3, "Split": 3, "Sigmoid": 3, "Relu": 3}
    ours = [node for node in plugin.graph.node if node.op_type == operator.NAME]
    assert {node.domain for node in ours} == {operator.DOMAIN} <= {each.domain for each in plugin.opset_import}
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), dtype=np.uint8)
    expanded = passes.with_native_deform_conv(plugin)
    assert operators(expanded) == operators(native)
    expected = onnxruntime.InferenceSession(native.SerializeToString()).run(None, {"image": image})
    found = onnxruntime.InferenceSession(expanded.SerializeToString()).run(None, {"image": image})
    for ours_, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours_, theirs)


def test_at_a_fixed_size_positions_and_shapes_are_constants(static: onnx.ModelProto) -> None:
    assert not {"Sin", "Cos", "Range", "Shape", "CumSum", "ConstantOfShape"} & set(operators(static))


def test_the_first_prediction_and_query_projection_are_constants(
    static: onnx.ModelProto, model: pem.MaskClassifier
) -> None:
    decoder = model.decoder
    assert isinstance(decoder, MaskDecoder)
    with torch.inference_mode():
        features = decoder.query_features[None]
        embeddings = decoder.mask_head(decoder.norm(features))
        attention = decoder.layers[0].get_submodule("cross_attention")
        targets = attention.get_submodule("query_linear")(
            attention.get_submodule("query_norm")(features + decoder.query_positions[None])
        )
        targets = targets / targets.norm(dim=2, keepdim=True)
    stored = [onnx.numpy_helper.to_array(tensor) for tensor in static.graph.initializer]
    for constant in (embeddings.numpy(), targets.numpy()):
        assert any(
            tensor.size == constant.size and np.allclose(tensor.reshape(constant.shape), constant, atol=1e-5)
            for tensor in stored
        )


def test_only_the_last_prediction_makes_classes_and_full_masks(static: onnx.ModelProto) -> None:
    makers = [node for node in static.graph.node if "class_head" in node.name]
    assert len({node.op_type for node in makers}) == len(makers) > 0
    reference = tracing.to_onnx(
        ReferenceForm(randomized(pem.build("pem-nano", num_classes=5))), tracing.example_for(SPEC)
    )
    full = [SPEC.height // 4, SPEC.width // 4]
    assert products_of_size(static, full) == 1
    assert products_of_size(reference, full) == 4


def products_of_size(proto: onnx.ModelProto, size: list[int]) -> int:
    """Products of embeddings with features of (H, W) ``size``, before or after its flattening."""
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*onnx.shape_inference.infer_shapes(proto).graph.value_info, *proto.graph.output)
    }
    products = [node for node in proto.graph.node if node.op_type in ("MatMul", "Einsum")]
    ends = (size, [size[0] * size[1]])
    return sum(any(shapes.get(node.output[0], [])[-len(end) :] == end for end in ends) for node in products)


def test_a_graph_of_varying_size_keeps_its_names(model: pem.MaskClassifier) -> None:
    proto = tracing.to_onnx(model, tracing.example_for(DYNAMIC), dynamic=tracing.dynamic_dims(DYNAMIC))
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [bool(dim.dim_param) for dim in dims] == [False, True, True, False]
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["image", "logits", "masks"]


def test_nodes_are_named_after_their_modules_and_carry_nothing_of_the_exporting_machine(
    static: onnx.ModelProto,
) -> None:
    names = [node.name for node in static.graph.node]
    assert len(set(names)) == len(names)
    assert "backbone.features.0.conv/Conv" in names
    assert not any(node.metadata_props or node.doc_string for node in static.graph.node)
    assert __file__.split("tests")[0].encode() not in static.SerializeToString()


def test_halving_what_is_exact_changes_no_number(static: onnx.ModelProto) -> None:
    proto, image = onnx.ModelProto(), np.zeros((1, SPEC.height, SPEC.width, 3), np.uint8)
    proto.CopyFrom(static)
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            halved = onnx.numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(halved, tensor.name))
    compact = onnx.ModelProto()
    compact.CopyFrom(proto)
    compact = passes.with_float16_constants(compact)
    onnx.checker.check_model(compact, full_check=True)
    assert compact.ByteSize() < 0.6 * proto.ByteSize()
    for ours, expected in zip(run(compact, image), run(proto, image), strict=True):
        np.testing.assert_array_equal(ours, expected)


def run(proto: onnx.ModelProto, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(["logits", "masks"], {"image": image}))


def test_constant_layer_norms_fold_to_their_value() -> None:
    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = randomized(torch.nn.LayerNorm(8, eps=0.1))
            self.x = torch.nn.Parameter(torch.randn(3, 8))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return image + self.norm(self.x), image * 2

    module, image = Constant(), torch.randn(3, 8)
    proto = tracing.to_onnx(module, image)
    assert "LayerNormalization" not in operators(proto)
    found = ReferenceEvaluator(proto).run(["logits"], {"image": image.numpy()})
    np.testing.assert_allclose(np.asarray(found)[0], module(image)[0].detach().numpy(), rtol=0, atol=1e-5)


def test_weights_that_no_onnx_file_holds_are_said(model: pem.MaskClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MOST_BYTES", 1_000_000)
    with pytest.raises(
        ExportError, match=r"the weights take \d.\d GB, more than the .* that an ONNX file holds: choose"
    ):
        tracing.to_onnx(model, tracing.example_for(SPEC))
