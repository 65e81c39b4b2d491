"""The work of a node follows from its tensors, and never is more than what it must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.benchmark.measures.limits import node_work
from pem_edge.runtime.inference.profiled_nodes import ProfiledNode, TensorType

sizes = st.integers(1, 9)


def tensor(*shape: int, dtype: str = "float32") -> TensorType:
    return TensorType(dtype, shape)


def node(kind: str, inputs: list[TensorType], output: TensorType, *products: ProfiledNode) -> ProfiledNode:
    return ProfiledNode("node", kind, 1.0, tuple(inputs), (output,), products)


def macs(*arguments: object) -> int:
    found = node_work.count(node(*arguments))  # type: ignore[arg-type]
    assert found is not None
    return found.macs


@given(sizes, sizes, sizes, sizes)
def test_products_count_the_common_dimension(batch: int, rows: int, inner: int, columns: int) -> None:
    expected = batch * rows * inner * columns
    left, result = tensor(batch, rows, inner), tensor(batch, rows, columns)
    assert macs("MatMul", [left, tensor(inner, columns)], result) == expected
    assert macs("MatMul", [left, tensor(batch, inner, columns)], result) == expected
    assert macs("FusedMatMul", [left, tensor(batch, columns, inner)], result) == expected, "transposed"
    flat = [tensor(rows, inner), tensor(columns, inner), tensor(columns)]
    assert macs("Gemm", flat, tensor(rows, columns)) == rows * inner * columns
    assert macs("FullyConnected", flat, tensor(rows, columns)) == rows * inner * columns


@given(sizes, sizes, sizes, sizes, st.sampled_from([1, 2, 3]), st.sampled_from([1, 2]))
def test_convolutions_count_their_kernel(
    channels: int, filters: int, height: int, width: int, kernel: int, groups: int
) -> None:
    output = tensor(1, groups * filters, height, width)
    weights = (filters, channels, kernel, kernel)
    expected = groups * filters * height * width * channels * kernel**2
    data = tensor(1, groups * channels, 2 * height, 2 * width)
    assert macs("Conv", [data, tensor(groups * filters, *weights[1:])], output) == expected
    assert macs("GroupConvolution", [data, tensor(groups, *weights)], output) == expected


def test_transposed_convolutions_count_their_input() -> None:
    assert macs("ConvTranspose", [tensor(1, 4, 5, 5), tensor(4, 3, 2, 2)], tensor(1, 3, 10, 10)) == 100 * 3 * 4


def test_deformable_convolutions_count_their_samples() -> None:
    data, weights, offsets = tensor(1, 4, 6, 6), tensor(8, 4, 3, 3), tensor(1, 18, 6, 6)
    expected = 36 * 8 * 36 + 4 * 4 * 9 * 36
    assert macs("DeformConv", [data, weights, offsets], tensor(1, 8, 6, 6)) == expected
    assert macs("DeformableConvolution", [data, offsets, weights], tensor(1, 8, 6, 6)) == expected


def test_int8_has_its_weights_behind_scales_and_zero_points() -> None:
    scale, zero = tensor(), tensor(dtype="uint8")
    data, weights = tensor(1, 8, 8, 4, dtype="uint8"), tensor(6, 4, 3, 3, dtype="int8")
    quantized = node("QLinearConv", [data, scale, zero, weights, scale, zero], tensor(1, 8, 8, 6, dtype="uint8"))
    assert node_work.count(quantized) == node_work.NodeWork(
        macs=64 * 6 * 36, nbytes=64 * 4 + 64 * 6 + 6 * 36 + 2 * 5, precision="int8"
    )


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "fp32"), ("float16", "fp16"), ("int8", "int8")])
def test_the_precision_is_that_of_the_weights(dtype: str, precision: str) -> None:
    found = node_work.count(node("MatMul", [tensor(2, 2), tensor(2, 2, dtype=dtype)], tensor(2, 2)))
    assert found is not None
    assert found.precision == precision


def test_fused_products_count_in_the_node_that_they_are_fused_into() -> None:
    scores = node("MatMul", [tensor(1, 9, 4), tensor(1, 4, 9)], tensor(1, 9, 9))
    values = node("MatMul", [tensor(1, 9, 9), tensor(1, 9, 4)], tensor(1, 9, 4))
    assert macs("Subgraph", [tensor(1, 9, 4)] * 3, tensor(1, 9, 4), scores, values) == 2 * 9 * 9 * 4


def test_views_move_nothing_and_selections_only_what_they_select() -> None:
    large, small = tensor(100), tensor(10)
    moved = {
        kind: node_work.count(node(kind, [large], small)).nbytes  # type: ignore[union-attr]
        for kind in ("Reshape", "Slice", "ReduceMax")
    }
    assert moved == {"Reshape": 0, "Slice": 4 * (10 + 10), "ReduceMax": 4 * (100 + 10)}


@given(st.lists(sizes, max_size=4), st.sampled_from(["bool", "int8", "float16", "float32", "int64", "float64"]))
def test_bytes_are_those_of_arrays(shape: list[int], dtype: str) -> None:
    assert tensor(*shape, dtype=dtype).nbytes == math.prod(shape) * np.dtype(dtype).itemsize


def test_unknown_tensors_are_unknown_work() -> None:
    assert node_work.count(ProfiledNode("node", "Conv", 1.0)) is None
    assert macs("Conv", [tensor(1, 4, 5, 5)], tensor(1, 3, 5, 5)) == 0, "weights that nothing tells of"


def test_a_graph_counts_by_its_share_in_int8() -> None:
    work = Work(macs={"Conv": 1000}, parameters=1, weight_bytes=1, activation_bytes=1, height=8, width=8, batch=1)
    split = node_work.of_graph(work, "int8", 0.75)
    assert [(part.macs, part.precision) for part in split] == [(750, "int8"), (250, "fp32")]
    assert [(part.macs, part.precision) for part in node_work.of_graph(work, "fp16", 1.0)] == [(1000, "fp16")]
