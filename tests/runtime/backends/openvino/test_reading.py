"""What OpenVINO's reader is taught computes what ONNX says."""

from __future__ import annotations

from collections.abc import Sequence

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
    bound = reference(case.absolute())
    assert np.all(np.abs(run(deform_conv(case), case.inputs) - reference(case)) <= 1e-5 * (1 + bound))


@pytest.mark.parametrize("size", [(4, 6), (None, None)], ids=["fixed", "varying"])
def test_a_product_with_a_map_is_the_same_with_channels_last(size: tuple[int | None, int | None]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((2, 8, 4, 6), np.float32)
    embeddings = rng.standard_normal((2, 5, 8), np.float32)
    model = product(size)
    found = run(model, (embeddings, pixels))
    np.testing.assert_allclose(found, embeddings @ pixels.reshape(2, 8, -1), atol=1e-5)
    products = [node for node in reading.read(core(), model).get_ops() if node.get_type_name() == "MatMul"]
    assert [node.get_attributes()["transpose_b"] for node in products] == [True, True]
    reshapes = {node.input_value(1).get_node().friendly_name for node in products}
    assert len(reshapes) == 1  # moved once for both


def run(model: bytes, inputs: Sequence[Array]) -> NDArray[np.float32]:
    compiled = core().compile_model(reading.read(core(), model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    output: NDArray[np.float32] = compiled(dict(enumerate(inputs)))[0]
    return output


def deform_conv(case: Case) -> bytes:
    names = ["x", "weight", "offset", "bias", "mask"]
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
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip(names, case.inputs, strict=True)
    ]
    return serialized([node], inputs, case.output_shape)


def product(size: tuple[int | None, int | None]) -> bytes:
    nodes = [
        helper.make_node("Reshape", ["pixels", "shape"], ["flat"]),
        helper.make_node("MatMul", ["embeddings", "flat"], ["first"]),
        helper.make_node("MatMul", ["embeddings", "flat"], ["second"]),
        helper.make_node("Max", ["first", "second"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, (2, 5, 8)),
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (2, 8, *size)),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [0, 0, -1])
    return serialized(nodes, inputs, (2, 5, None), [shape])


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
