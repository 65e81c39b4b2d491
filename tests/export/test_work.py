"""The work that a manifest states is that of its graph, whatever the form, and the modules' own."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import calibration
from calibration.collect import collect
from calibration.graph import Graph
from calibration.macs import macs
from calibration.placement import tensors
from calibration.shapes import shapes
from calibration.tensor_statistics import Statistics
from export import graph, work
from export.forms import Forms
from export.rewrites import prepare
from pem import PEM
from runtime.manifest import InputSpec, Range, Work
from tests.calibration.graphs import SIZE, Noise, chain, residual
from tests.helpers.tiny import TINY
from tests.helpers.weights import randomised

PIXELS = SIZE[0] * SIZE[1]
BY_HAND = InputSpec(height=SIZE[0], width=SIZE[1])

SPEC = InputSpec(height=64, width=96, batch=2)


def prepared(forms: Forms) -> PEM:
    return prepare(randomised(TINY.build(5)), forms)


def traced(forms: Forms) -> onnx.ModelProto:
    return graph.to_onnx(prepared(forms), graph.example_for(SPEC))


def macs_of_module(module: nn.Module) -> Counter[str]:
    """What torch counts of each module; sampling is not in it."""
    counter = FlopCounterMode(display=False, depth=99)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        module(torch.zeros(SPEC.batch, SPEC.height, SPEC.width, 3, dtype=torch.uint8))
    return Counter({name: sum(found.values()) // 2 for name, found in counter.get_flop_counts().items()})


@pytest.fixture(scope="module")
def proto() -> onnx.ModelProto:
    return traced(Forms())


@pytest.fixture(scope="module")
def counted(proto: onnx.ModelProto) -> Work:
    return work.count(proto, SPEC, 0)


def test_elementwise_operations_are_part_of_what_makes_their_input() -> None:
    found = work.count(chain(), BY_HAND, 7)
    normalising = (3 + 12) + (12 + 12)  # Cast reads bytes and writes floats; Transpose writes what Div makes of it
    assert found.activation_bytes == PIXELS * (normalising + (12 + 32) + (32 + 16))
    assert found.weight_bytes == 4 * (1 + 8 * 3 * 9 + 8 + 4 * 8 * 9 + 4)
    assert (found.parameters, found.height, found.width, found.batch) == (7, *SIZE, 1)


def test_what_a_residual_adds_is_read_once_more() -> None:
    normalising, stem, first, second, last = (3 + 12) + (12 + 12), 12 + 32, 32 + 32, 32 + 32 + 32, 32 + 16
    assert work.count(residual(), BY_HAND, 0).activation_bytes == PIXELS * (normalising + stem + first + second + last)


def test_half_precision_moves_half_the_bytes() -> None:
    found = work.count(chain(TensorProto.FLOAT16), BY_HAND, 0)
    assert found.activation_bytes == PIXELS * ((3 + 6) + (6 + 6) + (6 + 16) + (16 + 16))
    assert found.weight_bytes == 2 * (1 + 8 * 3 * 9 + 8 + 4 * 8 * 9 + 4)


def test_int8_moves_the_steps_that_are_stored() -> None:
    model = chain()
    collected = collect(model, tensors(model), Noise())
    quantised, _ = calibration.quantize(model, Statistics(collected, "model", "noise", 4, SIZE), "tensorrt")
    found, before = work.count(quantised, BY_HAND, 0), work.count(model, BY_HAND, 0)
    assert found.activation_bytes == PIXELS * ((3 + 12) + (12 + 3) + (3 + 8) + (8 + 16))
    assert found.macs == before.macs
    assert found.weight_bytes < before.weight_bytes / 2


def test_every_form_is_the_same_work(counted: Work) -> None:
    found = work.count(traced(Forms("plugin", "transposed")), SPEC, 0)
    assert found.macs_total == counted.macs_total
    assert found.macs.keys() == {"Conv", "ConvTranspose", "MatMul", "PemDeformConv"}
    assert counted.macs.keys() == {"Conv", "MatMul", "GridSample"}


def test_sizes_that_vary_count_as_the_usual_one() -> None:
    varying = residual()
    for axis in (1, 2):
        varying.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    spec = msgspec.structs.replace(BY_HAND, dynamic_height=Range(8, SIZE[0], 64), dynamic_width=Range(8, SIZE[1], 64))
    assert work.count(varying, spec, 0) == work.count(residual(), BY_HAND, 0)


def test_the_graph_counts_what_the_modules_do(proto: onnx.ModelProto) -> None:
    """Less what export computes once: of the queries before the first layer, and of their positions in each."""
    indexed = Graph(proto)
    parts: Counter[str] = Counter()
    for name, found in macs(indexed, shapes(indexed)).items():
        if not name.endswith("GridSample"):
            parts[re.split(r"[./]", name)[0]] += found
    module = macs_of_module(prepared(Forms()))
    assert parts["backbone"] == module["PEM.backbone"] > 0
    assert parts["pixel_decoder"] == module["PEM.pixel_decoder"] > 0
    width, masks, queries = TINY.width, TINY.mask_width, TINY.queries
    first = queries * width * (2 * width + masks) + queries * width * width
    positions = TINY.layers * queries * width * 3 * width
    assert parts["decoder"] == module["PEM.decoder"] - first - positions > 0
