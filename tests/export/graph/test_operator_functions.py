"""The operators of TensorRT plugins have definitions that compute what PyTorch computes, in ONNX Runtime."""

from __future__ import annotations

import copy
from base64 import b64encode
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import DeformConvForm, Forms, Precision
from pem_edge.export.graph.operator_functions import definitions
from pem_edge.export.graph.rewrites import prepare
from pem_edge.export.graph.rewrites.deformable_attention import NVIDIA_DOMAIN, NVIDIA_OPERATOR
from pem_edge.pem.layers.deform_conv import DeformConv2d
from pem_edge.pem.layers.deformable_attention import DeformableSampling, pixel_centers, pixel_sizes
from pem_edge.pem.variants.variant import Variant
from pem_edge.runtime.artifacts.operator_definitions import KEY, with_definitions
from pem_edge.runtime.backends.ort_sessions import open_session
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.backends.tensorrt.plugins import operator as plugin
from pem_edge.runtime.verification.sample_images import sample_batch
from reference.weights import randomized
from tests.helpers.tiny import TINY, TINY_MASK2FORMER

Array = NDArray[np.floating]
SIZES = st.integers(1, 6)


def run(domain: str, operator: str, inputs: dict[str, NDArray[Any]], **attributes: int) -> Array:
    """Run a graph of one node by its definition."""
    node = helper.make_node(operator, [*inputs], ["found"], domain=domain)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    tensors = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(each.dtype), each.shape)
        for name, each in inputs.items()
    ]
    first = helper.np_dtype_to_tensor_dtype(next(iter(inputs.values())).dtype)
    graph = helper.make_graph([node], "one", tensors, [helper.make_tensor_value_info("found", first, None)])
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(domain, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    helper.set_model_props(model, {KEY: str(definitions(model))})
    (found,) = open_session(with_definitions(model.SerializeToString()), Settings(threads=1)).run(None, inputs)
    return np.asarray(found)


def pack(weight: Array, rows: int, columns: int) -> Array:
    """Return (C', C, 3, 3) as (taps, C, C'), padded to (9, rows, columns) by what must not be read."""
    packed = np.full((9, rows, columns), np.nan, weight.dtype)
    packed[:, : weight.shape[1], : weight.shape[0]] = weight.reshape(*weight.shape[:2], 9).transpose(2, 1, 0)
    return packed


@settings(deadline=None, max_examples=40)
@given(n=SIZES, channels=SIZES, outputs=SIZES, height=SIZES, width=SIZES, seed=st.integers(0, 99), relu=st.booleans())
def test_the_deformable_convolution(
    n: int, channels: int, outputs: int, height: int, width: int, seed: int, relu: bool
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, channels, height, width)).astype(np.float32)
    weight = random.normal(size=(outputs, channels, 3, 3)).astype(np.float32)
    raw = random.normal(0, 2, (n, 27, height, width)).astype(np.float32)
    raw[0, :3, 0, 0] = np.nan, np.inf, 1e30  # taps of which nothing is left
    bias = random.normal(size=outputs).astype(np.float32)
    tensors = [torch.from_numpy(each).double() for each in (x, raw[:, :18], raw[:, 18:], weight, bias)]
    tensors[1] = tensors[1].nan_to_num(1e9, 1e9).clamp(-1e9, 1e9)
    tensors[2] = tensors[2].sigmoid()
    expected = DeformConv2d()(*tensors).numpy()
    inputs = {"x": x, "weight": pack(weight, channels + 3, outputs + 5), "raw": raw, "bias": bias}
    found = run(plugin.DOMAIN, plugin.NAME, inputs, relu=int(relu))
    np.testing.assert_allclose(found, np.maximum(expected, 0) if relu else expected, atol=1e-4)
    halves = {name: each.astype(np.float16) for name, each in inputs.items()}
    assert run(plugin.DOMAIN, plugin.NAME, halves, relu=int(relu)).dtype == np.float16


@settings(deadline=None, max_examples=40)
@given(
    n=SIZES,
    heads=SIZES,
    depth=SIZES,
    sizes=st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
def test_deformable_attention(n: int, heads: int, depth: int, sizes: list[tuple[int, int]], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    length, levels = sum(height * width for height, width in sizes), len(sizes)
    values = torch.randn(n, length, heads, depth, generator=random)
    offsets = 2 * torch.randn(n, length, heads, levels, 4, 2, generator=random)
    logits = torch.randn(n, length, heads, levels * 4, generator=random)
    expected = DeformableSampling()(values.double(), offsets.double(), logits.double(), sizes)
    places = (
        offsets * pixel_sizes(sizes, offsets).reshape(levels, 1, 2) + pixel_centers(sizes, offsets)[:, None, None, None]
    )
    lengths = np.array([height * width for height, width in sizes], np.int32)
    inputs = {
        "values": values.numpy(),
        "shapes": np.array(sizes, np.int32),
        "starts": (lengths.cumsum() - lengths).astype(np.int32),
        "places": (places * 0.5 + 0.5).numpy(),
        "weights": logits.softmax(-1).reshape(n, length, heads, levels, 4).numpy(),
    }
    found = run(NVIDIA_DOMAIN, NVIDIA_OPERATOR, inputs).reshape(n, length, -1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_a_graph_without_such_operators_needs_no_definitions() -> None:
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "plain", [], [])
    assert definitions(helper.make_model(graph)) is None


def test_definitions_cannot_refer_to_other_files() -> None:
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    hostile = onnx.ModelProto(functions=[helper.make_function("pem_edge", "Evil", [], ["y"], [node], [])])
    model = helper.make_model(helper.make_graph([], "plain", [], []))
    helper.set_model_props(model, {KEY: b64encode(hostile.SerializeToString()).decode()})
    with pytest.raises(ValueError, match="in other files"):
        with_definitions(model.SerializeToString())


def test_definitions_are_functions_and_nothing_else() -> None:
    model = helper.make_model(helper.make_graph([], "plain", [], []))
    helper.set_model_props(model, {KEY: b64encode(model.SerializeToString()).decode()})
    with pytest.raises(ValueError, match="more than functions"):
        with_definitions(model.SerializeToString())


@pytest.mark.parametrize("damaged", ["no base 64!", b64encode(b"no protocol buffer").decode()])
def test_damaged_definitions_are_an_error(damaged: str) -> None:
    model = helper.make_model(helper.make_graph([], "plain", [], []))
    helper.set_model_props(model, {KEY: damaged})
    with pytest.raises(ValueError):  # noqa: PT011  # base64's and ours
        with_definitions(model.SerializeToString())


@pytest.mark.parametrize(
    ("variant", "form", "precision", "atol"),
    [
        (TINY, "plugin", "fp32", 1e-3),
        (TINY, "plugin", "fp16", 0.5),
        (TINY_MASK2FORMER, "nvidia", "fp32", 1e-3),
        (TINY_MASK2FORMER, "nvidia", "fp16", 0.5),
    ],
)
def test_a_graph_for_plugins_runs_as_it_is_exported(
    variant: Variant, form: DeformConvForm, precision: Precision, atol: float
) -> None:
    model = randomized(variant.build(5))
    image = sample_batch(2, 64, 96, 0)
    with torch.inference_mode():
        expected = copy.deepcopy(model).double().eval()(torch.from_numpy(image))
    proto = tracing.to_onnx(prepare(model, Forms(form, precision=precision)), torch.from_numpy(image))
    helper.set_model_props(proto, {KEY: str(definitions(proto))})
    session = open_session(with_definitions(proto.SerializeToString()), Settings(threads=1), provider="cpu")
    for found, right in zip(session.run(["logits", "masks"], {"image": image}), expected, strict=True):
        np.testing.assert_allclose(found, right.numpy(), atol=atol)
