"""Which tensors a placement quantises, for which readers, and which of them share a range."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from onnx import NodeProto

from pem_edge.calibration.graph.index import Graph
from pem_edge.calibration.placement.block_names import block_of
from pem_edge.calibration.placement.convolutions import is_convolution, is_linear, is_ordinary
from pem_edge.calibration.placement.rules import PASSING, Rules


@dataclass
class Plan:
    """``convolutions`` and ``linears`` are quantised; ``readers`` are, by tensor, the names of the nodes that read it
    quantised; tensors of one group (see `group`) share a range.
    """

    convolutions: list[NodeProto] = field(default_factory=list)
    linears: list[NodeProto] = field(default_factory=list)
    readers: dict[str, set[str]] = field(default_factory=dict)
    _parents: dict[str, str] = field(default_factory=dict)

    def read(self, tensor: str, reader: NodeProto) -> bool:
        """Let ``reader`` read ``tensor`` quantised; return whether that is new."""
        names = self.readers.setdefault(tensor, set())
        new = reader.name not in names
        names.add(reader.name)
        return new

    def share(self, first: str, second: str) -> None:
        """Let two tensors share a range."""
        self._parents[self.group(first)] = self.group(second)

    def group(self, tensor: str) -> str:
        """The tensor that stands for all those that ``tensor`` shares its range with."""
        parent = self._parents.setdefault(tensor, tensor)
        return tensor if parent == tensor else self.group(parent)


def make(graph: Graph, rules: Rules, keep: Collection[str] = ()) -> Plan:
    """The plan for all convolutions that ``rules`` quantise, and linear layers, but those of the blocks ``keep``."""
    plan = Plan()
    takes = is_convolution if rules.deformable else is_ordinary
    real = (node for node in graph.nodes if takes(graph, node) and graph.constant(node.input[1]) is not None)
    plan.convolutions = [node for node in real if block_of(node.name) not in keep]
    chosen = {node.name for node in plan.convolutions}
    for node in plan.convolutions:
        _trace_back(graph, rules, plan, node, node.input[0], chosen)
        if rules.outputs:
            _quantise_output(graph, plan, node)
    plan.linears = [node for node in graph.nodes if is_linear(graph, node) and block_of(node.name) not in keep]
    for node in plan.linears:
        plan.read(node.input[0], node)
    return plan


def result_of(graph: Graph, node: NodeProto) -> str:
    """What a convolution's kernel computes: with the ReLU that follows it, where nothing else reads in between."""
    readers = graph.readers(node.output[0])
    alone = len(readers) == 1 and node.output[0] not in graph.outputs
    return str(readers[0].output[0] if alone and readers[0].op_type == "Relu" else node.output[0])


def _trace_back(graph: Graph, rules: Rules, plan: Plan, reader: NodeProto, tensor: str, chosen: set[str]) -> None:
    """Quantise ``tensor`` for ``reader``, and what it is made from, where bytes can be passed on."""
    if not plan.read(tensor, reader):
        return
    maker = graph.maker(tensor)
    if maker is None:
        return
    if maker.op_type in PASSING:
        for source in (name for name in maker.input if graph.constant(name) is None):
            plan.share(source, tensor)
            _trace_back(graph, rules, plan, maker, source, chosen)
    for summand, total in _summands(graph, rules, maker, chosen):
        _trace_back(graph, rules, plan, total, summand, chosen)


def _summands(graph: Graph, rules: Rules, maker: NodeProto, chosen: set[str]) -> list[tuple[str, NodeProto]]:
    """What a residual sum, with or without ReLU, reads quantised, and the sum; empty if ``maker`` is no such sum."""
    total = graph.maker(maker.input[0]) if maker.op_type == "Relu" else maker
    if total is None or total.op_type != "Add":
        return []
    fused = [name for name in total.input if _only_for(graph, name, total, chosen)]
    if not fused:
        return []
    names = list(total.input)
    if not rules.both_summands:
        names.remove(fused[0])
    return [(name, total) for name in names]


def _only_for(graph: Graph, tensor: str, reader: NodeProto, chosen: set[str]) -> bool:
    """Whether a quantised convolution makes ``tensor``, and only ``reader`` reads it."""
    maker = graph.maker(tensor)
    return maker is not None and maker.name in chosen and graph.readers(tensor) == [reader]


def _quantise_output(graph: Graph, plan: Plan, node: NodeProto) -> None:
    result = result_of(graph, node)
    if result not in graph.outputs:
        for reader in graph.readers(result):
            plan.read(result, reader)
