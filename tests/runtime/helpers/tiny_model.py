"""A model small enough to build for a test, which segments flat colors."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pem_edge.runtime.artifacts.labels import Label

CLASSES = (
    Label(0, "red", True, (255, 0, 0)),
    Label(1, "green", True, (0, 255, 0)),
    Label(2, "blue", False, (0, 0, 255)),
    Label(3, "white", False, (255, 255, 255)),
    Label(4, "black", False, (0, 0, 0)),
)
QUERIES = 8
QUERY_CLASSES = [0, 1, 2, 3, 4, 4, 5, 5]  # 5 is no object
MASK_WEIGHTS = [
    [1, -1, -1],
    [-1, 1, -1],
    [-1, -1, 1],
    [1, 1, 1],
    [-1, -1, -1],
    [-0.4, -0.4, -0.4],  # dark gray as well as black, where the query before it wins
    [0, 0, 0],
    [0, 0, 0],
]
MASK_BIASES = [-0.5, -0.5, -0.5, -2.5, 0.5, 0.3, -1, -1]


def tiny_model(height: int | str, width: int | str, batch: int | str) -> onnx.ModelProto:
    """Return each query has one class and, in colors of 0 to 1, the mask where weights times color + bias > 0.

    Sizes given as names are dynamic.
    """
    logits = np.zeros((1, QUERIES, len(CLASSES) + 1), np.float32)
    logits[0, range(QUERIES), QUERY_CLASSES] = 10
    constants: dict[str, NDArray[Any]] = {
        "logits_of_queries": logits,
        "mask_weights": np.array(MASK_WEIGHTS, np.float32)[:, :, None, None] * 40 / 255,
        "mask_biases": np.array(MASK_BIASES, np.float32) * 40,
        "axes": np.array([1, 2, 3]),
        "shape": np.array([-1, 1, 1]),
        "zero": np.array(0, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["grid"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["grid", "mask_weights", "mask_biases"], ["masks"]),
        helper.make_node("ReduceMax", ["grid", "axes"], ["brightest"], keepdims=0),
        helper.make_node("Mul", ["brightest", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "shape"], ["nothing_per_image"]),
        helper.make_node("Add", ["logits_of_queries", "nothing_per_image"], ["logits"]),
    ]
    grid = [size if isinstance(size, str) else size // 4 for size in (height, width)]
    grid = [f"{size}/4" if isinstance(size, str) else size for size in grid]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, height, width, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, QUERIES, len(CLASSES) + 1]),
            helper.make_tensor_value_info("masks", TensorProto.FLOAT, [batch, QUERIES, *grid]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
