"""Finds the convolutions and linear layers of a graph that may compute in INT8."""

from __future__ import annotations

import re

import onnx_ir as ir

from pem_edge.calibration.graph.index import Graph, names

_DEFORMABLE = re.compile(r"\.deform[./]")
"""Pattern in the names of the nodes of a deformable convolution."""

_LINEAR = re.compile(
    r"(?:backbone|pixel_decoder)\.(?!patches\.|.*\.(?:offsets|scores)/)|decoder\.layers\.\d+\.(?:qkv|output|expand|contract)/"
)
"""Pattern of the names of the linear layers that process pixels: of transformers, and of EoMT's last blocks.

It excludes the layers that compute the offsets and weights of deformable attention, and EoMT's embedding of pixels that
are not normalized, most of whose sum the bias takes away: they stay in floating point.
"""


def is_convolution(graph: Graph, node: ir.Node) -> bool:
    """Return whether ``node`` is a convolution, except one whose output is known to be a single pixel."""
    return node.op_type == "Conv" and (graph.shape(names(node.outputs)[0]) or ())[2:] != (1, 1)


def is_deformable(node: ir.Node) -> bool:
    """Return whether ``node`` is part of a deformable convolution, whatever its form."""
    return _DEFORMABLE.search(str(node.name)) is not None


def is_ordinary(graph: Graph, node: ir.Node) -> bool:
    """Return whether `is_convolution` holds for ``node`` and it is not part of a deformable convolution."""
    return is_convolution(graph, node) and not is_deformable(node)


def is_linear(graph: Graph, node: ir.Node) -> bool:
    """Return whether ``node`` is a matrix product of pixels with weights."""
    if node.op_type != "MatMul" or _LINEAR.match(str(node.name)) is None:
        return False
    weights = graph.constant(names(node.inputs)[1])
    return weights is not None and weights.ndim == 2 and weights.shape[1] > 1
