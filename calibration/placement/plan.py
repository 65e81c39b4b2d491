"""Plans which tensors to quantize, for which of the nodes that read them, and which tensors share a range."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import onnx_ir as ir

from pem_edge.calibration.graph.index import Graph, names
from pem_edge.calibration.placement.block_names import block_of
from pem_edge.calibration.placement.convolutions import is_convolution, is_deformable, is_linear
from pem_edge.calibration.placement.rules import PASSING, Rules

_MOVING = frozenset({"Identity", "Dropout", "Reshape", "Slice", "Transpose", "Squeeze", "Unsqueeze", "Flatten"})
"""Operators that only move values. OpenVINO removes them where they change nothing, alone or together."""


@dataclass
class Plan:
    """The tensors to quantize, and the nodes that read them quantized.

    Attributes:
        convolutions: The convolutions that compute in INT8.
        linears: The linear layers that compute in INT8.
        readers: For each tensor to quantize, the names of the nodes that read it quantized.
        symmetric: Tensors that become int8 with zero point 0 whatever the rules say: concatenations that linear layers
            read. OpenVINO quantizes what is concatenated instead, and then fails on the product if there is a zero
            point.
    """

    convolutions: list[ir.Node] = field(default_factory=list)
    linears: list[ir.Node] = field(default_factory=list)
    readers: dict[str, set[str]] = field(default_factory=dict)
    symmetric: set[str] = field(default_factory=set)
    _parents: dict[str, str] = field(default_factory=dict)

    def read(self, tensor: str, reader: ir.Node) -> bool:
        """Record that ``reader`` reads ``tensor`` quantized; return whether this was not yet recorded."""
        known = self.readers.setdefault(tensor, set())
        new = reader.name not in known
        known.add(str(reader.name))
        return new

    def share(self, first: str, second: str) -> None:
        """Record that two tensors share a range."""
        self._parents[self.group(first)] = self.group(second)

    def group(self, tensor: str) -> str:
        """Return the tensor that represents all the tensors with which ``tensor`` shares its range."""
        parent = self._parents.setdefault(tensor, tensor)
        return tensor if parent == tensor else self.group(parent)


def make(graph: Graph, rules: Rules, keep: Collection[str] = ()) -> Plan:
    """Plan to quantize all convolutions and linear layers that ``rules`` allow, except in the blocks ``keep``."""
    plan = Plan()
    plain = (node for node in graph.nodes if rules.deformable or not is_deformable(node))
    allowed = [node for node in plain if block_of(str(node.name)) not in keep]
    convolutions = (node for node in allowed if is_convolution(graph, node))
    plan.convolutions = [node for node in convolutions if graph.constant(names(node.inputs)[1]) is not None]
    chosen = {str(node.name) for node in plan.convolutions}
    for node in plan.convolutions:
        _trace_back(graph, rules, plan, node, names(node.inputs)[0], chosen)
        if rules.outputs:
            _quantize_output(graph, plan, node)
    plan.linears = [node for node in allowed if is_linear(graph, node)]
    for node in plan.linears:
        tensor = names(node.inputs)[0]
        plan.read(tensor, node)
        if _is_joined(graph, tensor):
            plan.symmetric.add(tensor)
    return plan


def _is_joined(graph: Graph, tensor: str) -> bool:
    """Return whether ``tensor`` is a concatenation, however its values were moved since."""
    maker = graph.maker(tensor)
    while maker is not None and maker.op_type in _MOVING:
        maker = graph.maker(names(maker.inputs)[0])
    return maker is not None and maker.op_type == "Concat"


def result_of(graph: Graph, node: ir.Node) -> str:
    """Return the output of the convolution ``node``, or of the ReLU after it if only the ReLU reads the convolution."""
    (result,) = names(node.outputs)
    readers = graph.readers(result)
    alone = len(readers) == 1 and result not in graph.outputs
    return names(readers[0].outputs)[0] if alone and readers[0].op_type == "Relu" else result


def _trace_back(graph: Graph, rules: Rules, plan: Plan, reader: ir.Node, tensor: str, chosen: set[str]) -> None:
    """Quantize ``tensor`` for ``reader``, then the tensors it is computed from, as far back as INT8 can be kept."""
    if not plan.read(tensor, reader):
        return
    maker = graph.maker(tensor)
    if maker is None:
        return
    if maker.op_type in PASSING:
        for source in (name for name in names(maker.inputs) if graph.constant(name) is None):
            plan.share(source, tensor)
            _trace_back(graph, rules, plan, maker, source, chosen)
    for summand, total in _summands(graph, rules, maker, chosen):
        _trace_back(graph, rules, plan, total, summand, chosen)


def _summands(graph: Graph, rules: Rules, maker: ir.Node, chosen: set[str]) -> list[tuple[str, ir.Node]]:
    """Return the summands to quantize, each with the Add node, if ``maker`` is a residual sum or the ReLU after one.

    A sum counts as residual if a quantized convolution can fuse it into its kernel. Otherwise the list is empty.
    """
    total = graph.maker(names(maker.inputs)[0]) if maker.op_type == "Relu" else maker
    if total is None or total.op_type != "Add":
        return []
    summands = names(total.inputs)
    fused = [name for name in summands if _can_fuse(graph, name, total, chosen)]
    if not fused:
        return []
    if not rules.both_summands:
        summands.remove(fused[0])
    return [(name, total) for name in summands]


def _can_fuse(graph: Graph, tensor: str, reader: ir.Node, chosen: set[str]) -> bool:
    """Return whether a node in ``chosen``, the quantized convolutions, produces ``tensor`` for ``reader`` alone."""
    maker = graph.maker(tensor)
    return maker is not None and maker.name in chosen and graph.readers(tensor) == [reader]


def _quantize_output(graph: Graph, plan: Plan, node: ir.Node) -> None:
    """Quantize the result of a convolution for all its readers, unless it is an output of the graph."""
    result = result_of(graph, node)
    if result not in graph.outputs:
        for reader in graph.readers(result):
            plan.read(result, reader)
