"""Multiply-accumulates are those of the shapes that are computed, whether the graph says them or not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.graph.macs import macs
from pem_edge.calibration.graph.shapes import shapes
from tests.calibration.graphs import SIZE, GraphBuilder, Noise, concatenation


def counted(model: onnx.ModelProto) -> dict[str, int]:
    graph = Graph(model)
    return macs(graph, shapes(graph))


def single(operator: str, inputs: Sequence[Sequence[int]], **attributes: Any) -> int:
    """Return the multiply-accumulates of one node of inputs of these shapes."""
    names = [f"input{position}" for position in range(len(inputs))]
    kinds = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, inputs, strict=True)]
    node = helper.make_node(operator, names, ["output"], "node", **attributes)
    graph = helper.make_graph([node], "one", kinds, [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)])
    return counted(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)]))["node"]


def test_convolutions_count_outputs_times_weights_of_each() -> None:
    pixels = SIZE[0] * SIZE[1]
    assert list(counted(concatenation()).values()) == [
        pixels * 3 * 8 * 9,
        pixels // 4 * 8 * 9,
        pixels // 4 * 8 * 4 * 9,
        pixels // 4 * 12 * 4,
    ]


@given(
    side=st.integers(5, 9),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 3),
    widths=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_a_convolution_counts_what_its_loops_do(
    side: int, kernel: int, stride: int, dilation: int, groups: int, widths: tuple[int, int]
) -> None:
    taken, given_ = widths
    places = range(0, side - dilation * (kernel - 1), stride)
    loops = product(range(groups), range(given_), places, places, range(taken), range(kernel), range(kernel))
    found = single(
        "Conv",
        [(1, groups * taken, side, side), (groups * given_, taken, kernel, kernel)],
        group=groups,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
    )
    assert found == sum(1 for _ in loops)


def test_transposed_convolutions_count_inputs_and_products_their_inner_side() -> None:
    build = GraphBuilder()
    weights = build.constant("weight", np.zeros((3, 5, 4, 4)))
    larger = build.node("ConvTranspose", [build.image, weights], "a/ConvTranspose", strides=[2, 2], pads=[1] * 4)
    columns = build.constant("columns", np.zeros((2 * SIZE[1], 7)))
    model = build.model(build.node("MatMul", [larger, columns], "b/MatMul"))
    pixels = SIZE[0] * SIZE[1]
    assert counted(model) == {"a/ConvTranspose": pixels * 3 * 5 * 16, "b/MatMul": 5 * 2 * SIZE[0] * 7 * 2 * SIZE[1]}


def test_a_transposed_convolution_of_groups_counts_the_channels_of_each() -> None:
    assert single("ConvTranspose", [(2, 6, 4, 5), (6, 3, 2, 2)], group=2, strides=[2, 2]) == 2 * 6 * 4 * 5 * 3 * 2 * 2


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "expected"),
    [
        ("MatMul", [(2, 3, 5, 7), (7, 11)], {}, 2 * 3 * 5 * 7 * 11),
        ("MatMul", [(1, 8, 5, 7), (4, 1, 7, 6)], {}, 4 * 8 * 5 * 7 * 6),
        ("Gemm", [(5, 7), (7, 11), (11,)], {}, 5 * 7 * 11),
        ("Gemm", [(7, 5), (11, 7)], {"transA": 1, "transB": 1}, 5 * 7 * 11),
        ("Einsum", [(2, 5, 7), (2, 7, 3, 4)], {"equation": "bqc, bchw -> bqhw"}, 2 * 5 * 7 * 3 * 4),
        ("GridSample", [(2, 5, 8, 9), (2, 3, 4, 2)], {}, 4 * 2 * 5 * 3 * 4),
        (
            "DeformConv",
            [(2, 5, 8, 9), (7, 5, 3, 3), (2, 18, 8, 9), (7,), (2, 9, 8, 9)],
            {"pads": [1] * 4},
            2 * 8 * 9 * 5 * 9 * (7 + 4),
        ),
    ],
)
def test_operators_count_what_is_written_down_by_hand(
    operator: str, inputs: list[tuple[int, ...]], attributes: dict[str, Any], expected: int
) -> None:
    assert single(operator, inputs, **attributes) == expected


def test_sizes_that_vary_are_those_of_an_image() -> None:
    fixed, varying = concatenation(), concatenation()
    for axis in (1, 2):
        varying.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    assert counted(varying) != counted(fixed)
    graph = Graph(varying)
    assert macs(graph, shapes(graph, Noise()[0])) == counted(fixed)
