"""Put Q/DQ pairs and quantised weights into a graph, as a plan says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from pem_edge.calibration.graph.index import Graph, attribute
from pem_edge.calibration.placement.bias_correction import lost_mean
from pem_edge.calibration.placement.plan import Plan
from pem_edge.calibration.placement.scales import Scale, rounded_weights, steps_for_bias, weight_steps

Means = Mapping[str, NDArray[np.float64]]


def insert(graph: Graph, plan: Plan, scales: Mapping[str, Scale], means: Means, *, quantised_bias: bool) -> None:
    """Change the model that ``graph`` is an index of, in place.

    ``scales`` and the ``means`` of each channel are by tensor; where there are no means, biases are not corrected.
    """
    edits = _Edits()
    for node in plan.linears:
        _quantise_matrix(edits, graph, node)
    for node in plan.convolutions:
        _quantise_weights(edits, graph, node, scales[node.input[0]], means.get(node.input[0]), quantised_bias)
    for tensor, readers in plan.readers.items():
        _quantise_tensor(edits, graph, tensor, scales[tensor], readers)
    edits.write(graph.model)
    _remove_unused(graph.model)


class _Edits:
    """New constants, and new nodes by the tensor that they follow, "" for the start of the graph."""

    def __init__(self) -> None:
        self._nodes: defaultdict[str, list[NodeProto]] = defaultdict(list)
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, *, after: str = "", **attributes: Any) -> str:
        """Add a node of one output, named after it; return that output."""
        self._nodes[after].append(helper.make_node(operator, inputs, [output], f"{output}/{operator}", **attributes))
        return output

    def dequantised(self, name: str, levels: NDArray[Any], steps: NDArray[Any], axis: int = 0) -> str:
        """Add a constant that is stored in steps of its channel, on ``axis``; return the name of its real values."""
        inputs = [self.constant(f"{name}.levels", levels), self.constant(f"{name}.scale", steps)]
        inputs.append(self.constant(f"{name}.zero", np.zeros(len(steps), levels.dtype)))
        return self.node("DequantizeLinear", inputs, name, axis=axis)

    def write(self, model: onnx.ModelProto) -> None:
        """Add everything to ``model``."""
        nodes = [*self._nodes[""], *(node for source in model.graph.input for node in self._nodes[source.name])]
        for node in model.graph.node:
            nodes += [node, *(new for output in node.output for new in self._nodes[output])]
        _replace(model.graph.node, nodes)
        model.graph.initializer.extend(self._constants)


def _quantise_weights(
    edits: _Edits,
    graph: Graph,
    node: NodeProto,
    activation: Scale,
    means: NDArray[np.float64] | None,
    quantised_bias: bool,
) -> None:
    weights = _constant(graph, node, 1)
    bias = _constant(graph, node, 2)
    steps = weight_steps(weights)
    if quantised_bias and bias.size:
        steps = steps_for_bias(steps, bias, activation)
    levels = rounded_weights(weights, steps)
    node.input[1] = edits.dequantised(f"{node.name}.weight", levels, steps)
    if not bias.size:
        return
    if means is not None:
        lost = weights - levels * steps.astype(np.float64).reshape(-1, 1, 1, 1)
        bias = (bias + lost_mean(lost, means, attribute(node, "group", 1))).astype(bias.dtype)
    if quantised_bias:
        products = (steps.astype(np.float64) * float(activation.step)).astype(np.float32)
        levels = np.round(bias / products.astype(np.float64)).astype(np.int32)
        node.input[2] = edits.dequantised(f"{node.name}.bias", levels, products)
    else:
        node.input[2] = edits.constant(f"{node.name}.bias", bias)


def _quantise_matrix(edits: _Edits, graph: Graph, node: NodeProto) -> None:
    """Of a linear layer, inputs by outputs; its bias, a sum of its own, stays as it is."""
    weights = _constant(graph, node, 1).T
    steps = weight_steps(weights)
    node.input[1] = edits.dequantised(f"{node.name}.weight", rounded_weights(weights, steps).T, steps, axis=1)


def _constant(graph: Graph, node: NodeProto, position: int) -> NDArray[Any]:
    """A constant input of ``node``, empty if there is none there."""
    found = graph.constant(node.input[position]) if len(node.input) > position else None
    return np.zeros(0) if found is None else found


def _quantise_tensor(edits: _Edits, graph: Graph, tensor: str, scale: Scale, readers: Collection[str]) -> None:
    constants = [edits.constant(f"{tensor}.scale", scale.step), edits.constant(f"{tensor}.zero", scale.zero)]
    levels = edits.node("QuantizeLinear", [tensor, *constants], f"{tensor}.levels", after=tensor)
    real = edits.node("DequantizeLinear", [levels, *constants], f"{tensor}.dequantised", after=tensor)
    for node in graph.readers(tensor):
        if node.name in readers:
            _replace(node.input, [real if name == tensor else name for name in node.input])


def _remove_unused(model: onnx.ModelProto) -> None:
    """Remove what the weights were stored as before."""
    needed = {value.name for value in model.graph.output}
    nodes = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    _replace(model.graph.node, nodes[::-1])
    _replace(model.graph.initializer, [each for each in model.graph.initializer if each.name in needed])


def _replace(field: Any, values: list[Any]) -> None:
    """Give a repeated field of a message these values, some of which may be its own."""
    copies = [
        value if isinstance(value, str) else type(value).FromString(value.SerializeToString()) for value in values
    ]
    del field[:]
    field.extend(copies)
