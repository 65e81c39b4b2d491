"""Shapes that inference leaves open are measured, whatever the graph's tensors are called."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.graph.shapes import shapes


def test_a_constant_may_be_called_like_the_shape_of_a_tensor() -> None:
    nodes = [
        helper.make_node("Reshape", ["image", "rows/shape"], ["rows"], "reshape"),
        helper.make_node("Cast", ["rows"], ["masks"], "cast", to=TensorProto.FLOAT),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 4, 6, 3])
    masks = helper.make_tensor_value_info("masks", TensorProto.FLOAT, ["m", 18])
    constant = numpy_helper.from_array(np.array([-1, 18], np.int64), "rows/shape")
    graph = helper.make_graph(nodes, "graph", [image], [masks], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    found = shapes(Graph(model), np.zeros((2, 4, 6, 3), np.uint8))
    assert (found["rows"], found["masks"]) == ((8, 18), (8, 18))
