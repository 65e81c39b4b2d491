"""Which nodes of a graph are convolutions that may compute in INT8."""

from __future__ import annotations

import re

from onnx import NodeProto

from calibration.graph import Graph

_DEFORMABLE = re.compile(r"\.deform[./]")
"""In the names of the nodes of a deformable convolution."""


def is_convolution(graph: Graph, node: NodeProto) -> bool:
    """Whether ``node`` is a convolution over more than one pixel."""
    return node.op_type == "Conv" and (graph.shape(node.output[0]) or ())[2:] != (1, 1)


def is_ordinary(graph: Graph, node: NodeProto) -> bool:
    """Whether ``node`` is such a convolution and no part of a deformable one."""
    return is_convolution(graph, node) and _DEFORMABLE.search(node.name) is None
