"""The operator of our plugin, in a graph, says what ONNX's operators say."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pem_edge.export.graph import passes
from pem_edge.export.graph.rewrites.deform_conv import pack
from pem_edge.runtime.backends.tensorrt.plugins import operator
from reference import deform_conv_cases
from reference.deform_conv_cases import Array, Case, make, reference


@given(channels=st.integers(1, 300), out_channels=st.integers(1, 300))
@settings(max_examples=30)
def test_weights_are_packed_as_the_plugin_reads_them(channels: int, out_channels: int) -> None:
    weight = torch.randn(out_channels, channels, 3, 3)
    np.testing.assert_array_equal(pack(weight).numpy(), deform_conv_cases.pack(weight.numpy()))


def graph_of(case: Case, *, half_constants: bool = False) -> onnx.ModelProto:
    """Return a graph of one node of the operator, named "deform", with inputs ``x`` and ``raw``."""
    x, weight, raw, bias = case.plugin_inputs
    attributes = {name: getattr(case, name) for name in ("kernel_shape", "strides", "pads", "dilations")}
    numbers = {"group": case.group, "offset_group": case.offset_group, "relu": int(case.relu)}
    nodes = [
        helper.make_node(
            operator.NAME,
            ["x", "weight", "raw", "bias"],
            ["y"],
            name="deform",
            domain=operator.DOMAIN,
            plugin_version=operator.VERSION,
            **attributes,
        )
    ]
    nodes[0].attribute.extend(helper.make_attribute(name, number) for name, number in numbers.items())
    constants = {"weight": weight, "bias": bias}
    if half_constants:
        constants = {f"{name}/half": array.astype(np.float16) for name, array in constants.items()}
        nodes = [
            *(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT) for name in ("weight", "bias")),
            *nodes,
        ]
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    shapes = {"x": x.shape, "raw": raw.shape, "y": case.output_shape}
    x_, raw_, y = (helper.make_tensor_value_info(name, element, shape) for name, shape in shapes.items())
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "one", [x_, raw_], [y], stored)
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(operator.DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def computed(proto: onnx.ModelProto, case: Case) -> Array:
    expanded = passes.with_native_deform_conv(proto)
    onnx.checker.check_model(expanded, full_check=True)
    session = onnxruntime.InferenceSession(expanded.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Array = session.run(["y"], {"x": case.x, "raw": case.raw})[0]
    return found


CASES = {
    "as in PEM": {"channels": 16, "out_channels": 24, "relu": True},
    "without ReLU": {"batch": 2, "channels": 70, "out_channels": 130},
    "groups": {"channels": 12, "out_channels": 9, "group": 3, "offset_group": 2, "relu": True},
    "strides": {"size": (9, 8), "kernel": (2, 3), "strides": (2, 1), "pads": (0, 1, 2, 1), "dilations": (1, 2)},
}


@pytest.mark.parametrize("name", CASES)
def test_expanded_it_computes_the_same(name: str) -> None:
    case = make(np.random.default_rng(0), **CASES[name])  # type: ignore[arg-type]
    expected = reference(case)
    np.testing.assert_allclose(
        computed(graph_of(case), case), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max())
    )


def test_constants_stored_in_half_precision_are_expanded_too() -> None:
    case = make(np.random.default_rng(0), relu=True)
    rounded = case.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(
        computed(graph_of(rounded, half_constants=True), rounded), reference(rounded), rtol=0, atol=2e-5
    )


def test_in_half_precision_it_is_expanded_in_single_precision() -> None:
    """Sample at positions that half precision would round to multiples of 0.5."""
    case = make(np.random.default_rng(0), size=(1, 700), reach=0.3).astype(np.float16)
    np.testing.assert_allclose(computed(graph_of(case), case), reference(case), rtol=2**-11, atol=2e-3)


@pytest.mark.parametrize(("relu", "last"), [(False, "DeformConv"), (True, "Relu")])
def test_what_calibration_finds_by_name_keeps_its_name(relu: bool, last: str) -> None:
    expanded = passes.with_native_deform_conv(graph_of(make(np.random.default_rng(0), relu=relu)))
    (named,) = (node for node in expanded.graph.node if node.name == "deform")
    assert (named.op_type, list(named.output)) == (last, ["y"])
