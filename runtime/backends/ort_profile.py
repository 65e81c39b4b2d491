"""Reads the profiles that ONNX Runtime writes: JSON lists of Chrome trace events."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TypeVar

import msgspec

from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.profiled_nodes import Nodes, ProfiledNode, TensorType

Decoded = TypeVar("Decoded")

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


_Key = tuple[str, str]
"""The name and the type of a node."""


def profiled_nodes(profile: bytes) -> Nodes:
    """Return the nodes with their median times over all runs in a profile except the first.

    Args:
        profile: A profile with an event "model_run" for each run, of which there must be at least two.

    Raises:
        BackendError: If there are fewer runs, or the profile is damaged.
    """
    events = _read(profile)
    starts = sorted(event.ts for event in events if event.name == "model_run")
    if len(starts) < 2:
        raise BackendError(f"ONNX Runtime's profile has {len(starts)} runs, expected at least 2: profile it again")
    nodes: dict[_Key, ProfiledNode] = {}
    times: dict[_Key, list[float]] = defaultdict(lambda: [0.0] * len(starts))
    for event in filter(_is_kernel, events):
        if (run := bisect(starts, event.ts)) > 0:
            node = _describe(event)
            nodes[node.name, node.type] = node
            times[node.name, node.type][run - 1] += event.dur / 1000
    return [replace(node, milliseconds=median(times[key][1:])) for key, node in nodes.items()]


def tensors(profile: bytes) -> dict[_Key, tuple[TensorType, ...]]:
    """Return the tensors that each node of a profile reads, by the node's name and type.

    Raises:
        BackendError: If the profile is damaged.
    """
    nodes = map(_describe, filter(_is_kernel, _read(profile)))
    return {(node.name, node.type): node.inputs for node in nodes}


def with_weights(nodes: Nodes, read: Mapping[_Key, tuple[TensorType, ...]]) -> Nodes:
    """Return ``nodes`` with the weights that they do not tell of, because they were packed anew when they were loaded.

    Args:
        nodes: The nodes to complete.
        read: The tensors that the same nodes read in a session that packed no weights.
    """
    return [replace(node, inputs=max(node.inputs, read.get((node.name, node.type), ()), key=len)) for node in nodes]


def _read(profile: bytes) -> list[_TraceEvent]:
    return _decode(profile, list[_TraceEvent])


def _decode(content: bytes | msgspec.Raw, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BackendError(
            f"ONNX Runtime's profile is damaged ({error}), expected trace events: profile it again"
        ) from None


def _is_kernel(event: _TraceEvent) -> bool:
    return event.cat == "Node" and event.name.endswith(_KERNEL)


def _describe(event: _TraceEvent) -> ProfiledNode:
    arguments = _decode(event.args, _Arguments)
    return ProfiledNode(
        name=event.name.removesuffix(_KERNEL),
        type=arguments.op_name,
        milliseconds=0.0,
        inputs=_types(arguments.input_type_shape),
        outputs=_types(arguments.output_type_shape),
    )


def _types(listed: Sequence[dict[str, tuple[int, ...]]]) -> tuple[TensorType, ...]:
    return tuple(TensorType(_NAMES.get(dtype, dtype), shape) for tensor in listed for dtype, shape in tensor.items())
