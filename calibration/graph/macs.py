"""Counts the multiply-accumulates of a graph.

Convolutions, matrix products and bilinear sampling (four per output element) are counted. Elementwise operations,
normalization, pooling, resizing and biases are not; nor is bilinear sampling that consists of gathers and elementwise
operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from pem_edge.calibration.graph.index import Graph, Shape, names

_CORNERS = 4
"""Number of pixels whose weighted sum is a bilinear sample."""


def macs(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Count the multiply-accumulates of each node of the counted operators.

    Args:
        graph: The graph.
        shapes: The shape of each tensor by its name. Unknown sizes count as 1.

    Returns:
        The number of multiply-accumulates by the node's name.
    """
    counted = [node for node in graph.nodes if node.op_type in _RULES]
    return {str(node.name): _macs(node, shapes) for node in counted}


def _macs(node: ir.Node, shapes: Mapping[str, Shape]) -> int:
    """Count the multiply-accumulates of one node."""
    inputs = [shapes.get(name, ()) for name in names(node.inputs)]
    return _RULES[node.op_type](node, inputs, shapes.get(names(node.outputs)[0], ()))


def _deformable(node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    """Count a convolution and its bilinear samples, one per input channel, kernel position and output pixel."""
    kernel, batch = inputs[1][2:], output[:1]
    samples = _size(batch) * _size(inputs[0][1:2]) * _size(kernel) * _size(output[2:])
    return _convolution(node, inputs, output) + _CORNERS * samples


def _plugin(node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    """Count the same for our plugin, whose weights are packed and padded."""
    samples = _size(inputs[0][1:2]) * math.prod(node.attributes["kernel_shape"].as_ints())
    products = _size(output) * samples // node.attributes.get_int("group", 1)
    return products + _CORNERS * samples * _size(output[:1]) * _size(output[2:])


def _convolution(_node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    """Count, for each output element, the weights of its kernel, (C / groups, kh, kw)."""
    return _size(output) * _size(inputs[1][1:])


def _transposed(_node: ir.Node, inputs: Sequence[Shape], _output: Shape) -> int:
    """Count, for each input element, the weights that it is multiplied with, (C' / groups, kh, kw)."""
    return _size(inputs[0]) * _size(inputs[1][1:])


def _product(_node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    return _size(output) * _size(inputs[0][-1:])


def _gemm(node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    inner = 0 if node.attributes.get_int("transA", 0) else 1
    return _size(output) * _size(inputs[0][inner : inner + 1])


def _einsum(node: ir.Node, inputs: Sequence[Shape], _output: Shape) -> int:
    """Count one per combination of indices. The equation must have two operands and no ellipsis."""
    indices = node.attributes.get_string("equation", "").split("->")[0].replace(" ", "").split(",")
    sides: dict[str, int | None] = {}
    for term, shape in zip(indices, inputs, strict=True):
        sides |= dict(zip(term, shape, strict=True))
    return _size(tuple(sides.values()))


def _sampling(_node: ir.Node, _inputs: Sequence[Shape], output: Shape) -> int:
    return _CORNERS * _size(output)


def _self_attention(_node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    """Count ONNX Runtime's MultiHeadAttention: for each output element, its sum over keys, and over channels before."""
    return 2 * _size(output) * _size(inputs[1][1:2])


def _attention(_node: ir.Node, inputs: Sequence[Shape], _output: Shape) -> int:
    """Count NVIDIA's deformable attention plugin: a bilinear sample per attention weight and channel of a head."""
    values, *_, weights = inputs
    return _CORNERS * _size(weights) * _size(values[-1:])


def _size(shape: Shape) -> int:
    return math.prod(side or 1 for side in shape)


_RULES: dict[str, Callable[[ir.Node, Sequence[Shape], Shape], int]] = {
    "Conv": _convolution,
    "DeformConv": _deformable,
    "PemDeformConv": _plugin,
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "GridSample": _sampling,
    "MultiHeadAttention": _self_attention,
    "MultiscaleDeformableAttnPlugin_TRT": _attention,
}
