"""The work that a manifest states is that of its graph, whatever the form, and the modules' own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

import msgspec
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.export import Dim

from pem_edge import calibration, pem
from pem_edge.calibration.activations.collect import collect
from pem_edge.calibration.activations.tensor_statistics import Statistics
from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from pem_edge.calibration.placement import tensors
from pem_edge.export import workload
from pem_edge.export.cli import export, variant_list
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare, use_nvidia_attention
from pem_edge.export.graph.rewrites.deformable_attention import NVIDIA_OPERATOR
from pem_edge.pem import MaskClassifier
from pem_edge.pem.layers.deformable_attention import DeformableAttention
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.runtime.artifacts.manifest import InputSpec, Range
from pem_edge.runtime.artifacts.sections import Work
from reference import module_macs
from reference.weights import randomized
from tests.calibration.graphs import SIZE, Noise, chain, residual
from tests.helpers.tiny import TINY

PIXELS = SIZE[0] * SIZE[1]
BY_HAND = InputSpec(height=SIZE[0], width=SIZE[1])

SPEC = InputSpec(height=64, width=96, batch=2)


def prepared(forms: Forms) -> MaskClassifier:
    return prepare(randomized(TINY.build(5)), forms)


def traced(forms: Forms, spec: InputSpec = SPEC) -> onnx.ModelProto:
    return tracing.to_onnx(prepared(forms), tracing.example_for(spec), dynamic=tracing.dynamic_dims(spec))


@pytest.fixture(scope="module")
def proto() -> onnx.ModelProto:
    return traced(Forms())


@pytest.fixture(scope="module")
def counted(proto: onnx.ModelProto) -> Work:
    return workload.count(proto, SPEC, 0)


def test_elementwise_operations_are_part_of_what_makes_their_input() -> None:
    found = workload.count(chain(), BY_HAND, 7)
    normalizing = (3 + 12) + (12 + 12)  # Cast reads bytes and writes floats; Transpose writes what Div makes of it
    assert found.activation_bytes == PIXELS * (normalizing + (12 + 32) + (32 + 16))
    assert found.weight_bytes == 4 * (1 + 8 * 3 * 9 + 8 + 4 * 8 * 9 + 4)
    assert (found.parameters, found.height, found.width, found.batch) == (7, *SIZE, 1)


def test_what_a_residual_adds_is_read_once_more() -> None:
    normalizing, stem, first, second, last = (3 + 12) + (12 + 12), 12 + 32, 32 + 32, 32 + 32 + 32, 32 + 16
    assert workload.count(residual(), BY_HAND, 0).activation_bytes == PIXELS * (
        normalizing + stem + first + second + last
    )


def test_half_precision_moves_half_the_bytes() -> None:
    found = workload.count(chain(TensorProto.FLOAT16), BY_HAND, 0)
    assert found.activation_bytes == PIXELS * ((3 + 6) + (6 + 6) + (6 + 16) + (16 + 16))
    assert found.weight_bytes == 2 * (1 + 8 * 3 * 9 + 8 + 4 * 8 * 9 + 4)


def test_int8_moves_the_steps_that_are_stored() -> None:
    model = chain()
    collected = collect(model, tensors(model), Noise())
    quantized, _ = calibration.quantize(model, Statistics(collected, "model", "noise", 4, SIZE), "tensorrt")
    found, before = workload.count(quantized, BY_HAND, 0), workload.count(model, BY_HAND, 0)
    assert found.activation_bytes == PIXELS * ((3 + 12) + (12 + 3) + (3 + 8) + (8 + 16))
    assert found.macs == before.macs
    assert found.weight_bytes < before.weight_bytes / 2


def test_every_form_is_the_same_work(counted: Work) -> None:
    found = workload.count(traced(Forms("plugin", "transposed")), SPEC, 0)
    assert found.macs_total == counted.macs_total
    assert found.macs.keys() == {"Conv", "ConvTranspose", "MatMul", "PemDeformConv"}
    assert counted.macs.keys() == {"Conv", "MatMul", "GridSample"}


def test_gathers_leave_the_products_and_count_no_sampling(counted: Work) -> None:
    found = workload.count(traced(Forms("gather")), SPEC, 0)
    assert found.macs.keys() == {"Conv", "MatMul"}
    assert found.macs_total == counted.macs_total - counted.macs["GridSample"]


def test_sizes_that_vary_count_as_the_usual_one() -> None:
    varying = residual()
    for axis in (1, 2):
        varying.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    spec = msgspec.structs.replace(BY_HAND, dynamic_height=Range(8, SIZE[0], 64), dynamic_width=Range(8, SIZE[1], 64))
    assert workload.count(varying, spec, 0) == workload.count(residual(), BY_HAND, 0)


def test_our_plugin_is_the_same_work_at_sizes_that_vary(counted: Work) -> None:
    spec = msgspec.structs.replace(SPEC, dynamic_height=Range(64, 64, 128), dynamic_width=Range(64, 96, 128))
    assert workload.count(traced(Forms("plugin"), spec), spec, 0).macs_total == counted.macs_total


def test_attention_that_does_not_run_here_counts_as_its_standard_form_at_sizes_that_vary() -> None:
    found, expected = (attending(use) for use in (use_nvidia_attention, lambda _: None))
    assert found.macs.keys() == {"MatMul", NVIDIA_OPERATOR}
    assert (found.macs["MatMul"], found.macs[NVIDIA_OPERATOR]) == (expected.macs["MatMul"], expected.macs["GridSample"])


class Attending(nn.Module):
    """An image's pixels attend to each other, as tokens of one level."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = DeformableAttention(width=6, heads=2, levels=1)

    def forward(self, image: Tensor) -> Tensor:
        tokens = image.float().flatten(1, 2).tile(1, 1, 2)
        attended: Tensor = self.attention(tokens, tokens[:1], [(image.shape[1], image.shape[2])])
        return attended


def attending(rewrite: Callable[[nn.Module], None]) -> Work:
    spec = InputSpec(height=4, width=6, dynamic_height=Range(4, 4, 8), dynamic_width=Range(6, 6, 8))
    module, image = Attending().eval(), torch.zeros(1, 4, 6, 3, dtype=torch.uint8)
    rewrite(module)
    dims = {1: Dim("rows", min=4, max=8), 2: Dim("columns", min=6, max=8)}
    program = torch.onnx.export(
        module, (image,), dynamo=True, opset_version=tracing.OPSET, input_names=["image"], dynamic_shapes=(dims,)
    )
    assert program is not None
    return workload.count(program.model_proto, spec, 0)


def test_the_graph_counts_what_the_modules_do(proto: onnx.ModelProto) -> None:
    """Less what export computes once: of the queries before the first layer, and of their positions in each."""
    indexed = Graph(proto)
    found: Counter[str] = Counter()
    for name, count in macs(indexed, shapes(indexed)).items():
        found[re.split(r"[./]", name)[0]] += count
    width, masks, queries = TINY.width, TINY.mask_width, TINY.queries
    first = queries * width * (2 * width + masks) + queries * width * width
    positions = TINY.layers * queries * width * 3 * width
    expected = module_macs.of_model(prepared(Forms()), (SPEC.batch, SPEC.height, SPEC.width))
    assert found == {**expected, "decoder": expected["decoder"] - first - positions}


def weightless(variant: str, depths: Depths | None = None) -> MaskClassifier:
    with torch.device("meta"):
        return pem.build(variant, 19, encoder_layers=depths)


PUBLISHED = {
    ("pem-r50", None): 237,
    ("pem-stdc1", None): 92,
    ("pem-stdc2", None): 118,
    ("mask2former-r50", None): 524,
    ("proscale-r50", None): 378,
    ("proscale-r50", (1, 1, 1)): 298,
}
"""GMAC at 1024x2048, by variant and, where it is another than the table's, the depths of its encoder."""


@pytest.mark.parametrize(("variant", "depths"), PUBLISHED)
def test_the_published_formulation_counts_as_published(variant: str, depths: Depths | None) -> None:
    counted = sum(module_macs.of_reference(weightless(variant, depths), (1, 1024, 2048)).values())
    assert counted / 1e9 == pytest.approx(PUBLISHED[variant, depths], rel=0.015)


def test_fvcores_rates_give_what_was_published() -> None:
    """Of PEM; with Mask2Former's family the resizing of the results seems to have been counted, too."""
    for (variant, _), published in list(PUBLISHED.items())[:3]:
        counted = sum(module_macs.of_reference(weightless(variant), (1, 1024, 2048), module_macs.FVCORE).values())
        assert counted / 1e9 == pytest.approx(published, abs=0.6)


@pytest.mark.parametrize("variant", pem.VARIANTS)
def test_the_list_has_every_variant_as_it_is(variant: str) -> None:
    """Where it is not: scripts/bench/count_work.py. Graphs lack little of what modules count."""
    assert variant in variant_list.works(), "run scripts/bench/count_work.py"
    listed, model = variant_list.works()[variant], weightless(variant)
    assert listed.parameters == sum(parameter.numel() for parameter in model.parameters())
    module = sum(module_macs.of_model(model, (listed.batch, listed.height, listed.width)).values())
    assert 0.993 * module < listed.macs_total <= module


def test_the_list_is_what_graphs_count() -> None:
    listed = variant_list.works()["pem-nano"]
    spec = InputSpec(height=listed.height, width=listed.width, batch=listed.batch)
    found = tracing.to_onnx(prepare(pem.build("pem-nano", 19), Forms()), tracing.example_for(spec))
    counted = workload.count(found, spec, listed.parameters)
    assert counted.macs == listed.macs
    assert counted.weight_bytes == pytest.approx(listed.weight_bytes, rel=0.01)
    assert counted.activation_bytes == pytest.approx(listed.activation_bytes, rel=0.01)


def test_the_list_is_shown_and_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(["--list"]) == 0
    assert re.search(r"^pem-r50 +35\.5 M parameters +218\.\d GMAC at 1024x2048$", capsys.readouterr().out, re.MULTILINE)
    assert export.main(["--list", "--json"]) == 0
    variants = json.loads(capsys.readouterr().out)["variants"]
    assert [entry["variant"] for entry in variants] == list(pem.VARIANTS)
    assert all(entry["macs_total"] == sum(entry["macs"].values()) for entry in variants)
