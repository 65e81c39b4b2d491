"""Reads the profiles that ONNX Runtime writes: JSON lists of Chrome trace events."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import msgspec

from pem_edge.runtime.inference.profiled_nodes import Nodes, ProfiledNode, TensorType

_KERNEL = "_kernel_time"
_NAMES = {"float": "float32", "double": "float64"}
"""NumPy's names of the element types that ONNX Runtime calls otherwise."""


class _Arguments(msgspec.Struct):
    """The arguments of an event; those of a kernel's event tell of its node."""

    op_name: str = ""
    input_type_shape: list[dict[str, tuple[int, ...]]] = []
    output_type_shape: list[dict[str, tuple[int, ...]]] = []


class _TraceEvent(msgspec.Struct):
    """An event of a Chrome trace, times in microseconds."""

    name: str = ""
    cat: str = ""
    ts: float = 0.0
    dur: float = 0.0
    args: msgspec.Raw = msgspec.Raw(b"{}")


def profiled_nodes(profile: bytes) -> Nodes:
    """Return the nodes with their median times over all runs in a profile except the first.

    Args:
        profile: A profile with an event "model_run" for each run, of which there must be at least two.
    """
    events = msgspec.json.decode(profile, type=list[_TraceEvent])
    ends = sorted(event.ts + event.dur for event in events if event.name == "model_run")
    nodes: dict[tuple[str, str], ProfiledNode] = {}
    times: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(ends))
    for event in events:
        if event.cat == "Node" and event.name.endswith(_KERNEL):
            node = _describe(event)
            nodes[node.name, node.type] = node
            times[node.name, node.type][bisect(ends, event.ts)] += event.dur / 1000
    return [replace(node, milliseconds=median(times[key][1:])) for key, node in nodes.items()]


def with_weights(nodes: Nodes, unpacked: Nodes) -> Nodes:
    """Return ``nodes`` with the weights that they do not tell of, because they were packed anew when they were loaded.

    Args:
        nodes: The nodes to complete.
        unpacked: The same nodes in a session that packed no weights.
    """
    whole = {(node.name, node.type): node.inputs for node in unpacked}
    inputs = (max(node.inputs, whole.get((node.name, node.type), ()), key=len) for node in nodes)
    return [replace(node, inputs=each) for node, each in zip(nodes, inputs, strict=True)]


def _describe(event: _TraceEvent) -> ProfiledNode:
    arguments = msgspec.json.decode(event.args, type=_Arguments)
    return ProfiledNode(
        name=event.name.removesuffix(_KERNEL),
        type=arguments.op_name,
        milliseconds=0.0,
        inputs=_types(arguments.input_type_shape),
        outputs=_types(arguments.output_type_shape),
    )


def _types(listed: Sequence[dict[str, tuple[int, ...]]]) -> tuple[TensorType, ...]:
    return tuple(TensorType(_NAMES.get(dtype, dtype), shape) for tensor in listed for dtype, shape in tensor.items())
