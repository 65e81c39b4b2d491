"""Describes the nodes that OpenVINO executed: their times, and the tensors that they read and wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from pem_edge.runtime.inference.profiled_nodes import Nodes, ProfiledNode, TensorType

if TYPE_CHECKING:
    import openvino as ov

_PRODUCT, _GENERATED = "MatMul", "Subgraph"
"""Types of matrix products, and of nodes that OpenVINO generates code for: of elementwise operations, of attention."""

_KINDS = {"f": "float", "i": "int", "u": "uint"}
_DTYPES = {f"{short}{bits}": f"{kind}{bits}" for short, kind in _KINDS.items() for bits in (8, 16, 32, 64)}
_DTYPES |= {"boolean": "bool", "bf16": "bfloat16"}
"""NumPy's names of the element types, by OpenVINO's."""


def profiled_nodes(runs: Iterable[Sequence[ov.ProfilingInfo]], asked: ov.Model, executed: ov.Model) -> Nodes:
    """Return the nodes that took any time, with their median times.

    Args:
        runs: What OpenVINO reports of each run.
        asked: The model before OpenVINO rewrote it.
        executed: The graph that OpenVINO executes.
    """
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        for info in run:
            times[info.node_name, info.node_type].append(1000 * info.real_time.total_seconds())
    products = {node.get_friendly_name(): node for node in asked.get_ops() if node.get_type_name() == _PRODUCT}
    nodes = {node.get_friendly_name(): node for node in executed.get_ops()}
    return [
        _describe(ProfiledNode(*key, median(each)), nodes.get(key[0]), products)
        for key, each in times.items()
        if any(each)
    ]


def _describe(profiled: ProfiledNode, node: ov.Node | None, products: Mapping[str, ov.Node]) -> ProfiledNode:
    """Return a node with its tensors and those of the products that are fused into it."""
    if node is None:
        return profiled
    described = _with_tensors(profiled, node)
    if profiled.type != _GENERATED or not described.outputs:
        return described
    names = node.get_rt_info()["originalLayersNames"].astype(str).split(",")
    fused = [_with_tensors(ProfiledNode(name, _PRODUCT, 0.0), products[name]) for name in names if name in products]
    return replace(described, products=tuple(fused))


def _with_tensors(profiled: ProfiledNode, node: ov.Node) -> ProfiledNode:
    """Return a node with its tensors, unless their sizes vary."""
    if any(port.get_partial_shape().is_dynamic for port in (*node.inputs(), *node.outputs())):
        return profiled
    return replace(profiled, inputs=_types(node.inputs()), outputs=_types(node.outputs()))


def _types(ports: Iterable[ov.Input | ov.Output]) -> tuple[TensorType, ...]:
    named = ((port.get_element_type().get_type_name(), port) for port in ports)
    return tuple(TensorType(_DTYPES.get(name, name), tuple(port.get_shape())) for name, port in named)
