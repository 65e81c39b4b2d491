"""Counts what a node must compute and move at least, from the tensors that it reads and writes.

Types of nodes are those of ONNX, of ONNX Runtime's own operators, and of OpenVINO.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.inference.profiled_nodes import ProfiledNode, TensorType

_CORNERS = 4
"""Number of pixels whose weighted sum is a bilinear sample."""

_VIEWS = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Types that may give back their input's memory under another shape, and then move nothing."""

_READ_IN_PART = {
    *("Gather", "GatherElements", "GatherND", "GridSample", "Interpolate", "Resize"),
    *("Slice", "Split", "StridedSlice", "VariadicSplit"),
}
"""Types that need not read all of their input: of each tensor, they count as reading no more than they write."""


@dataclass(frozen=True)
class NodeWork:
    """The work of a node in one run.

    Attributes:
        macs: The multiply-accumulates.
        nbytes: The bytes of the tensors that it must read and write, each once.
        precision: The precision that it computes in, "fp32", "fp16" or "int8".
    """

    macs: int
    nbytes: int
    precision: str


def count(node: ProfiledNode) -> NodeWork | None:
    """Return the work of a node, or None if its tensors are not known."""
    if not node.outputs:
        return None
    macs = sum(map(_macs, (node, *node.products)))
    return NodeWork(macs=macs, nbytes=_nbytes(node), precision=_precision(node))


def known(nodes: Iterable[ProfiledNode]) -> list[NodeWork]:
    """Return the work of those nodes whose tensors are known."""
    return [work for work in map(count, nodes) if work is not None]


def of_graph(work: Work, precision: str, share_in_int8: float) -> list[NodeWork]:
    """Return the multiply-accumulates of a graph by precision, as far as they are known without its nodes.

    Args:
        work: The work of the graph.
        precision: The precision of the graph.
        share_in_int8: The fraction of the multiply-accumulates in INT8, if ``precision`` is "int8".
    """
    if precision != "int8":
        return [NodeWork(work.macs_total, 0, precision)]
    quantized = int(share_in_int8 * work.macs_total)
    return [NodeWork(quantized, 0, "int8"), NodeWork(work.macs_total - quantized, 0, "fp32")]


def _macs(node: ProfiledNode) -> int:
    rule = _RULES.get(node.type)
    return rule(node) if rule and node.outputs else 0


def _nbytes(node: ProfiledNode) -> int:
    written = sum(tensor.nbytes for tensor in node.outputs)
    if node.type in _VIEWS:
        return 0
    most = written if node.type in _READ_IN_PART else math.inf
    return written + sum(int(min(tensor.nbytes, most)) for tensor in node.inputs)


def _precision(node: ProfiledNode) -> str:
    """Return the precision of the second operand, which is never wider than the first."""
    position = _SECOND.get(node.type, 1)
    dtype = node.inputs[position].dtype if len(node.inputs) > position else "float32"
    return {"int8": "int8", "uint8": "int8", "float16": "fp16"}.get(dtype, "fp32")


def _convolution(node: ProfiledNode) -> int:
    """Count, for each output element, the weights of its kernel: (..., C / groups, kh, kw)."""
    return node.outputs[0].elements * math.prod(_second(node).shape[-3:])


def _deformable(node: ProfiledNode) -> int:
    """Count a convolution and its bilinear samples, one per input channel, kernel position and output pixel."""
    (batch, channels), kernel = node.inputs[0].shape[:2], _second(node).shape[-2:]
    samples = batch * channels * math.prod(kernel) * math.prod(node.outputs[0].shape[2:])
    return _convolution(node) + _CORNERS * samples


def _transposed(node: ProfiledNode) -> int:
    """Count, for each input element, the weights that it is multiplied with: (..., C' / groups, kh, kw)."""
    return node.inputs[0].elements * math.prod(_second(node).shape[-3:])


def _product(node: ProfiledNode) -> int:
    """Count the common dimension for each output element, which is the same whether matrices are transposed or not."""
    left, right, output = (math.prod(tensor.shape[-2:]) for tensor in (node.inputs[0], _second(node), node.outputs[0]))
    return node.outputs[0].elements * math.isqrt(left * right // output) if output else 0


def _samples(node: ProfiledNode) -> int:
    return _CORNERS * node.outputs[0].elements


def _attention(node: ProfiledNode) -> int:
    """Count, for each output element, its sum over keys, (N, L, C), and over channels before."""
    return 2 * node.outputs[0].elements * _second(node).shape[-2]


def _second(node: ProfiledNode) -> TensorType:
    position = _SECOND.get(node.type, 1)
    return node.inputs[position] if len(node.inputs) > position else TensorType("float32", (0, 0, 0))


_SECOND = {"DeformableConvolution": 2, "QGemm": 3, "QLinearConv": 3, "QLinearMatMul": 3}
"""Positions of the second operand, the weights of a convolution, where it is not 1: after offsets, or after scale and
zero point."""

_RULES: dict[str, Callable[[ProfiledNode], int]] = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger", "QLinearConv", "NhwcFusedConv"), _convolution),
    **dict.fromkeys(("Convolution", "GroupConvolution"), _convolution),
    **dict.fromkeys(("DeformConv", "DeformableConvolution"), _deformable),
    **dict.fromkeys(("ConvTranspose", "ConvolutionBackpropData", "GroupConvolutionBackpropData"), _transposed),
    **dict.fromkeys(("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "FullyConnected"), _product),
    **dict.fromkeys(("QLinearMatMul", "QGemm", "MatMulInteger", "MatMulIntegerToFloat"), _product),
    **dict.fromkeys(("DynamicQuantizeMatMul",), _product),
    "GridSample": _samples,
    "MultiHeadAttention": _attention,
}
