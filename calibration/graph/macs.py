"""Multiply-accumulates of a graph.

Counted are the operators that multiply and sum: convolutions, products of matrices, and bilinear sampling at four an
output element. Elementwise operations, normalizations, pooling and resizing are not, nor are biases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from pem_edge.calibration.graph.index import Graph, Shape, names

_CORNERS = 4
"""Pixels that a bilinear sample is the weighted sum of."""


def macs(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Return the multiply-accumulates of each node that has some, by its name.

    Sizes that ``shapes`` does not know count as 1.
    """
    counted = [node for node in graph.nodes if node.op_type in _RULES]
    return {str(node.name): _macs(node, shapes) for node in counted}


def _macs(node: ir.Node, shapes: Mapping[str, Shape]) -> int:
    """Return the multiply-accumulates of one node."""
    inputs = [shapes.get(name, ()) for name in names(node.inputs)]
    return _RULES[node.op_type](node, inputs, shapes.get(names(node.outputs)[0], ()))


def _deformable(node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    """Count a convolution whose taps are bilinear samples, one per channel, tap and output pixel."""
    taps, batch = inputs[1][2:], output[:1]
    samples = _size(batch) * _size(inputs[0][1:2]) * _size(taps) * _size(output[2:])
    return _convolution(node, inputs, output) + _CORNERS * samples


def _convolution(_node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    """Count, for each output, a kernel over the channels of its group, which is how weights are laid out."""
    return _size(output) * _size(inputs[1][1:])


def _transposed(_node: ir.Node, inputs: Sequence[Shape], _output: Shape) -> int:
    """Count, for each input, a kernel over the channels of its group."""
    return _size(inputs[0]) * _size(inputs[1][1:])


def _product(_node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    return _size(output) * _size(inputs[0][-1:])


def _gemm(node: ir.Node, inputs: Sequence[Shape], output: Shape) -> int:
    inner = 0 if node.attributes.get_int("transA", 0) else 1
    return _size(output) * _size(inputs[0][inner : inner + 1])


def _einsum(node: ir.Node, inputs: Sequence[Shape], _output: Shape) -> int:
    """Count one for each combination of indices, for two operands without an ellipsis."""
    indices = node.attributes.get_string("equation", "").split("->")[0].replace(" ", "").split(",")
    sides: dict[str, int | None] = {}
    for term, shape in zip(indices, inputs, strict=True):
        sides |= dict(zip(term, shape, strict=True))
    return _size(tuple(sides.values()))


def _sampling(_node: ir.Node, _inputs: Sequence[Shape], output: Shape) -> int:
    return _CORNERS * _size(output)


def _attention(_node: ir.Node, inputs: Sequence[Shape], _output: Shape) -> int:
    """Count NVIDIA's deformable attention: a bilinear sample for each weight, of each channel of a head."""
    values, *_, weights = inputs
    return _CORNERS * _size(weights) * _size(values[-1:])


def _size(shape: Shape) -> int:
    return math.prod(side or 1 for side in shape)


_RULES: dict[str, Callable[[ir.Node, Sequence[Shape], Shape], int]] = {
    "Conv": _convolution,
    "DeformConv": _deformable,
    "PemDeformConv": _deformable,
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "GridSample": _sampling,
    "MultiscaleDeformableAttnPlugin_TRT": _attention,
}
