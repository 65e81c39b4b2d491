"""Finds the convolutions and linear layers of a graph that may compute in INT8."""

from __future__ import annotations

import re

import onnx_ir as ir

from pem_edge.calibration.graph.index import Graph, names

_DEFORMABLE = re.compile(r"\.deform[./]")
"""In the names of the nodes of a deformable convolution."""

_LINEAR = re.compile(r"(?:backbone|pixel_decoder)\.(?!.*\.(?:offsets|scores)/)")
"""In the names of the nodes of a transformer over pixels; what says where to look, and how much, is left as it is."""


def is_convolution(graph: Graph, node: ir.Node) -> bool:
    """Return whether ``node`` is a convolution over more than one pixel."""
    return node.op_type == "Conv" and (graph.shape(names(node.outputs)[0]) or ())[2:] != (1, 1)


def is_ordinary(graph: Graph, node: ir.Node) -> bool:
    """Return whether ``node`` is such a convolution and no part of a deformable one."""
    return is_convolution(graph, node) and _DEFORMABLE.search(str(node.name)) is None


def is_linear(graph: Graph, node: ir.Node) -> bool:
    """Return whether ``node`` is a linear layer, its bias aside, of a transformer over pixels."""
    if node.op_type != "MatMul" or _LINEAR.match(str(node.name)) is None:
        return False
    weights = graph.constant(names(node.inputs)[1])
    return weights is not None and weights.ndim == 2 and weights.shape[1] > 1
