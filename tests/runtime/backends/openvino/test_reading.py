"""What OpenVINO's reader is taught computes what ONNX says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from reference.deform_conv_cases import Case, make, reference

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from pem_edge.runtime.backends.openvino import core, reading  # OpenVINO is there

Array = NDArray[np.generic]
INPUTS = ["x", "weight", "offset"]
"""The inputs that every deformable convolution has."""


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 3),
    channels=st.sampled_from([4, 8, 24]),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    strides=st.sampled_from([(1, 1), (2, 1), (2, 2)]),
    dilations=st.sampled_from([(1, 1), (2, 1)]),
    group=st.sampled_from([1, 2]),
    offset_group=st.sampled_from([1, 2]),
    reach=st.sampled_from([0.0, 0.5, 2.0, 50.0]),
    names=st.sampled_from([[*INPUTS, "bias", "mask"], [*INPUTS, "bias"], [*INPUTS, "", "mask"], INPUTS, [*INPUTS, ""]]),
)
def test_deform_conv_is_the_one_of_the_standard(
    seed: int,
    batch: int,
    channels: int,
    size: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    group: int,
    offset_group: int,
    reach: float,
    names: list[str],
) -> None:
    case = make(
        np.random.default_rng(seed),
        batch=batch,
        channels=channels,
        size=size,
        strides=strides,
        pads=(2, 1, 2, 1),
        dilations=dilations,
        group=group,
        offset_group=offset_group,
        reach=reach,
    )
    case = replace(case, bias=case.bias * ("bias" in names))
    if "mask" not in names:
        case.logits[:] = np.inf  # which is a mask of ones
    bound = reference(case.absolute())
    inputs = dict(zip([*INPUTS, "bias", "mask"], case.inputs, strict=True))
    found = run(deform_conv(case, names), [inputs[name] for name in names if name])
    assert np.all(np.abs(found - reference(case)) <= 1e-5 * (1 + bound))


@pytest.mark.parametrize("names", [["x", "weight", "offset", "bias", "mask"], ["x", "weight", "offset"]])
def test_a_deformable_convolution_has_the_name_of_its_node(names: list[str]) -> None:
    found = reading.read(core(), deform_conv(make(np.random.default_rng(0)), names))
    (convolution,) = [node for node in found.get_ops() if node.get_type_name() == "DeformableConvolution"]
    assert convolution.friendly_name in ("sampled", "y"), "the reader prefers the name of a model's output"


SIZES: dict[str, tuple[int | None, ...]] = {
    "fixed": (2, 8, 4, 6),
    "varying size": (2, 8, None, None),
    "varying batch": (None, 8, 4, 6),
    "varying": (None, 8, None, None),
}


@pytest.mark.parametrize("shape", [(0, 0, -1), (-1, 8, 24), None], ids=["copied", "inferred", "computed"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_a_product_with_a_map_is_the_same_with_channels_last(
    size: tuple[int | None, ...], shape: tuple[int, ...] | None
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((2, 8, 4, 6), np.float32)
    embeddings = rng.standard_normal((2, 5, 8), np.float32)
    model = product(size, shape)
    np.testing.assert_allclose(run(model, (embeddings, pixels)), embeddings @ pixels.reshape(2, 8, -1), atol=1e-5)
    if size[2:] == (4, 6) or shape != (-1, 8, 24):  # of any size, 24 pixels may be those of several images
        assert [node.get_attributes()["transpose_b"] for node in products(model)] == [True, True]
        assert len({node.input_value(1).get_node().friendly_name for node in products(model)}) == 1, "moved for both"


@pytest.mark.parametrize("size", [(2, 8, 4, 6), (None, 8, None, None)], ids=["fixed", "varying"])
def test_a_map_that_is_cut_into_other_images_stays_as_it_is(size: tuple[int | None, ...]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((2, 8, 4, 6), np.float32)
    embeddings = rng.standard_normal((2, 5, 8), np.float32)
    model = product(size, (1, 8, -1))
    np.testing.assert_allclose(run(model, (embeddings, pixels)), embeddings @ pixels.reshape(1, 8, -1), atol=1e-5)
    assert [node.get_attributes()["transpose_b"] for node in products(model)] == [False, False]


def test_what_may_have_any_number_of_dimensions_stays_as_it_is() -> None:
    found = products(product(None, (2, 8, -1)))
    assert [node.get_attributes()["transpose_b"] for node in found] == [False, False]


def products(model: bytes) -> list[Any]:  # Any: OpenVINO's nodes have no types
    return [node for node in reading.read(core(), model).get_ops() if node.get_type_name() == "MatMul"]


def run(model: bytes, inputs: Sequence[Array]) -> NDArray[np.float32]:
    compiled = core().compile_model(reading.read(core(), model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    output: NDArray[np.float32] = compiled(dict(enumerate(inputs)))[0]
    return output


def deform_conv(case: Case, names: Sequence[str]) -> bytes:
    """Return a model of one node, with the inputs of these names; an empty name leaves one out."""
    node = helper.make_node(
        "DeformConv",
        names,
        ["y"],
        strides=case.strides,
        pads=case.pads,
        dilations=case.dilations,
        group=case.group,
        offset_group=case.offset_group,
        kernel_shape=case.kernel_shape,
        name="sampled",
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip([*INPUTS, "bias", "mask"], case.inputs, strict=True)
        if name in names
    ]
    return serialized([node], inputs, case.output_shape)


def product(size: Sequence[int | None] | None, shape: Sequence[int] | None) -> bytes:
    """Return a model that multiplies embeddings and pixels of ``size``, which are given ``shape`` before.

    Without a shape it is computed from that of the pixels, as graphs of varying size do.
    """
    computed = [
        helper.make_node("Shape", ["pixels"], ["sizes"], start=0, end=2),
        helper.make_node("Concat", ["sizes", "rest"], ["shape"], axis=0),
    ]
    nodes = [
        *(computed if shape is None else []),
        helper.make_node("Reshape", ["pixels", "shape"], ["flat"]),
        helper.make_node("MatMul", ["embeddings", "flat"], ["first"]),
        helper.make_node("MatMul", ["embeddings", "flat"], ["second"]),
        helper.make_node("Max", ["first", "second"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, (2, 5, 8)),
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, size),
    ]
    name, values = ("rest", [-1]) if shape is None else ("shape", shape)
    return serialized(nodes, inputs, (2, 5, None), [helper.make_tensor(name, TensorProto.INT64, [len(values)], values)])


def serialized(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    output: Sequence[int | None],
    constants: Sequence[onnx.TensorProto] = (),
) -> bytes:
    graph = helper.make_graph(
        nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)], constants
    )
    model: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)]).SerializeToString()
    return model
