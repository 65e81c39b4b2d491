"""Multiply-accumulates are those of the shapes that are computed, whether the graph says them or not."""

from __future__ import annotations

import numpy as np

from calibration.graph import Graph
from calibration.macs import macs
from tests.calibration.graphs import SIZE, GraphBuilder, Noise, concatenation


def test_convolutions_count_outputs_times_weights_of_each() -> None:
    pixels = SIZE[0] * SIZE[1]
    assert list(macs(Graph(concatenation())).values()) == [
        pixels * 3 * 8 * 9,
        pixels // 4 * 8 * 9,
        pixels // 4 * 8 * 4 * 9,
        pixels // 4 * 12 * 4,
    ]


def test_transposed_convolutions_count_inputs_and_products_their_inner_side() -> None:
    build = GraphBuilder()
    weights = build.constant("weight", np.zeros((3, 5, 4, 4)))
    larger = build.node("ConvTranspose", [build.image, weights], "a/ConvTranspose", strides=[2, 2], pads=[1] * 4)
    columns = build.constant("columns", np.zeros((2 * SIZE[1], 7)))
    graph = Graph(build.model(build.node("MatMul", [larger, columns], "b/MatMul")))
    pixels = SIZE[0] * SIZE[1]
    assert macs(graph) == {"a/ConvTranspose": pixels * 3 * 5 * 16, "b/MatMul": 5 * 2 * SIZE[0] * 7 * 2 * SIZE[1]}


def test_sizes_that_vary_are_those_of_an_image() -> None:
    fixed, varying = concatenation(), concatenation()
    for axis in (1, 2):
        varying.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    assert macs(Graph(varying)) != macs(Graph(fixed))
    assert macs(Graph(varying), Noise()[0]) == macs(Graph(fixed))
