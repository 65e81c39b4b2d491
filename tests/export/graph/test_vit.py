"""Weights of a Vision Transformer take over nodes of its graph, which computes the same without them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pem_edge.calibration.graph.index import Graph, names
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.calibration.placement.convolutions import is_linear
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import AttentionForm, Forms
from pem_edge.export.graph.rewrites import balance_norms, fold_layer_scales, fold_patches, prepare, use_attention
from pem_edge.export.graph.rewrites.vit import RawPatches
from pem_edge.pem.eomt import EoMT
from pem_edge.pem.layers.vit_block import LayerScale, ViTBlock
from pem_edge.pem.model import Normalization
from reference import graph_runners
from reference.weights import randomized
from tests.helpers.tiny import TINY_EOMT

SIZE = (64, 96)
"""A size whose grid is not the trained one."""

FORMS: tuple[AttentionForm, ...] = ("standard", "fused")


@pytest.fixture
def model() -> EoMT:
    return randomized(TINY_EOMT.build(num_classes=5)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randint(0, 256, (2, *SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def assert_same(model: nn.Module, expected: tuple[Tensor, Tensor], image: Tensor) -> None:
    with torch.inference_mode():
        for ours, theirs in zip(model(image), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def outputs_of(model: EoMT, image: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        logits, masks = model(image)
    return logits, masks


def test_layer_scales_become_part_of_the_weights(model: EoMT, image: Tensor) -> None:
    expected = outputs_of(model, image)
    fold_layer_scales(model)
    assert not any(isinstance(module, LayerScale) for module in model.modules())
    assert_same(model, expected, image)


def test_balanced_norms_compute_the_same_and_their_channels_are_alike(model: EoMT, image: Tensor) -> None:
    block = model.decoder.layers[0]
    assert isinstance(block, ViTBlock)
    for norm, linear in ((block.norm1, block.qkv), (block.norm2, block.expand)):
        norm.weight[3] *= 100
        norm.bias[3] *= 100
        linear.weight[:, 3] /= 100
    block.norm2.weight[5] = block.norm2.bias[5] = 0  # a channel that is off has no range
    expected = outputs_of(model, image)
    balance_norms(model)
    assert_same(model, expected, image)
    for norm, linear in ((block.norm1, block.qkv), (block.norm2, block.expand)):
        ranges, weights = 3 * norm.weight.abs() + norm.bias.abs(), linear.weight.abs().amax(0)
        on = ranges > 0
        torch.testing.assert_close(ranges[on], weights[on])


def test_normalization_and_positions_become_part_of_the_patch_embedding(model: EoMT, image: Tensor) -> None:
    model.normalize = Normalization((100.0, 90.0, 80.0), (70.0, 60.0, 50.0))
    expected = outputs_of(model, image)
    fold_patches(model, SIZE)
    assert not any(isinstance(module, Normalization) for module in model.modules())
    assert isinstance(model.backbone.patches, RawPatches)
    assert_same(model, expected, image)


@pytest.mark.parametrize("form", FORMS)
def test_the_scale_of_attention_becomes_part_of_the_queries(form: AttentionForm, model: EoMT, image: Tensor) -> None:
    expected = outputs_of(model, image)
    use_attention(model, form)
    assert_same(model, expected, image)


@pytest.mark.parametrize("form", FORMS)
def test_the_graph_computes_the_same_in_both_backends(
    form: AttentionForm, model: EoMT, image: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(tracing.to_onnx(prepare(model, Forms(attention=form), SIZE), image), path)
    for run in graph_runners.RUNNERS.values():
        for found, expected in zip(run(path, image.numpy()), outputs_of(model, image), strict=True):
            np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)


def test_the_graph_holds_one_product_for_queries_keys_and_values_and_what_is_read_alone(
    model: EoMT, image: Tensor
) -> None:
    graph = Graph(tracing.to_onnx(prepare(model, Forms(), SIZE), image))
    operators = Counter(node.op_type for node in graph.nodes)
    assert operators["Softmax"] == TINY_EOMT.depth
    assert operators["Sub"] == operators["Resize"] == 0
    products = [node for node in graph.nodes if node.op_type == "MatMul" and ".qkv/" in str(node.name)]
    assert len(products) == TINY_EOMT.depth
    (last,) = (node for node in graph.nodes if str(node.name) == "decoder.layers.1.expand/MatMul")
    patches = (SIZE[0] // 16) * (SIZE[1] // 16)
    assert graph.shape(names(last.outputs)[0]) == (2, TINY_EOMT.queries + patches, 4 * TINY_EOMT.width)


def test_both_forms_of_attention_count_the_same_work(model: EoMT, image: Tensor) -> None:
    counted = []
    for form in FORMS:
        graph = Graph(tracing.to_onnx(prepare(model, Forms(attention=form), SIZE), image))
        counted.append(sum(macs(graph, shapes(graph)).values()))
    assert counted[0] == counted[1] > 0


def test_the_linear_layers_of_blocks_are_for_int8_and_those_of_heads_and_pixels_are_not(
    model: EoMT, image: Tensor
) -> None:
    graph = Graph(tracing.to_onnx(prepare(model, Forms(), SIZE), image))
    found = [str(node.name) for node in graph.nodes if is_linear(graph, node)]
    blocks = [*(f"backbone.blocks.{i}" for i in range(2)), *(f"decoder.layers.{i}" for i in range(2))]
    assert found == [f"{block}.{part}/MatMul" for block in blocks for part in ("qkv", "output", "expand", "contract")]


def test_onnx_runtime_recognizes_gelu_and_the_fused_products(model: EoMT, image: Tensor, tmp_path: Path) -> None:
    """It does so by the order of the nodes: x (1 + erf) / 2, where the exporter writes x / 2 (1 + erf)."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    proto = tracing.to_onnx(prepare(model, Forms(), SIZE), image)
    onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fused = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    activations = TINY_EOMT.depth + 2 + 2  # blocks, the mask head, upscalings
    assert sum(fused[name] for name in ("Gelu", "BiasGelu", "QuickGelu", "FastGelu")) == activations
    assert fused["Erf"] == 0


def test_a_copy_for_one_size_takes_no_other(model: EoMT) -> None:
    prepared = prepare(model, Forms(), SIZE)
    with pytest.raises(RuntimeError, match="must match"):
        prepared(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    prepare(model, Forms())(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
