"""Reports how much of a quantized graph computes in INT8."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import onnx_ir as ir

from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.placement.convolutions import is_ordinary


class Report(msgspec.Struct, frozen=True):
    """The part of a quantized graph that computes in INT8.

    Fractions, 0 to 1, are measured in multiply-accumulates.

    Attributes:
        placement: The kind of kernels that Q/DQ pairs are placed for.
        method: The method that derived ranges from statistics.
        int8: The names of the nodes that compute in INT8.
        kept: The blocks that stayed in floating point.
        share_of_convolutions: The fraction of ordinary convolutions, which are neither deformable nor transposed.
        share_of_all: The fraction of all convolutions, matrix products and bilinear sampling.
    """

    placement: str
    method: str
    int8: tuple[str, ...]
    kept: tuple[str, ...]
    share_of_convolutions: float
    share_of_all: float


def describe(graph: Graph, costs: Mapping[str, int], placement: str, method: str, keep: Collection[str] = ()) -> Report:
    """Report how much of a quantized graph computes in INT8.

    Args:
        graph: The quantized graph.
        costs: The multiply-accumulates of each node, by its name, see `macs`.
        placement: The kind of kernels that Q/DQ pairs are placed for.
        method: The method that derived ranges from statistics.
        keep: The blocks that stayed in floating point.
    """
    int8 = tuple(str(node.name) for node in graph.nodes if node.name in costs and _reads_quantized(node))
    ordinary = {str(node.name) for node in graph.nodes if is_ordinary(graph, node)}
    done = sum(costs[name] for name in int8)
    return Report(
        placement=placement,
        method=method,
        int8=int8,
        kept=tuple(sorted(keep)),
        share_of_convolutions=sum(costs[name] for name in int8 if name in ordinary)
        / max(1, sum(costs.get(name, 0) for name in ordinary)),
        share_of_all=done / max(1, sum(costs.values())),
    )


def _reads_quantized(node: ir.Node) -> bool:
    """Return whether the first two inputs of ``node``, such as image and weights, are both dequantized."""
    makers = [None if value is None else value.producer() for value in node.inputs[:2]]
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)
