"""Inserts the Q/DQ pairs and quantized weights of a plan into a graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pem_edge.calibration.graph.index import Graph, names
from pem_edge.calibration.placement.bias_correction import lost_mean
from pem_edge.calibration.placement.plan import Plan
from pem_edge.calibration.placement.scales import Scale, round_weights, steps_for_bias, weight_steps

Means = Mapping[str, NDArray[np.float64]]
"""Mean of each channel, (C,), by the tensor's name."""


class QuantizePass(ir.passes.InPlacePass):
    """Quantizes the model of an index in place.

    Args:
        graph: The index of the model that the pass is called with.
        plan: The tensors and nodes to quantize.
        scales: The scale of each tensor that the plan quantizes, by the tensor's name.
        means: The means of the channels of these tensors. Where they are missing, biases are not corrected.
        quantized_bias: Whether biases become int32.
    """

    def __init__(
        self, graph: Graph, plan: Plan, scales: Mapping[str, Scale], means: Means, *, quantized_bias: bool
    ) -> None:
        super().__init__()
        self._graph, self._plan, self._scales, self._means = graph, plan, scales, means
        self._quantized_bias = quantized_bias

    def requires(self, model: ir.Model) -> None:
        """Raise PreconditionError unless the plan belongs to ``model`` and each of its tensors has a scale."""
        nodes = set(model.graph)
        if not nodes.issuperset([*self._plan.convolutions, *self._plan.linears]):
            raise ir.passes.PreconditionError("the plan has nodes that are not in the model")
        if missing := self._plan.readers.keys() - self._scales.keys():
            raise ir.passes.PreconditionError(f"the tensors {sorted(missing)} have no scale")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Quantize ``model`` in place."""
        graph = model.graph
        for node in self._plan.linears:
            self._quantize_matrix(graph, node)
        for node in self._plan.convolutions:
            self._quantize_weights(graph, node)
        values = ir.convenience.create_value_mapping(graph)
        for tensor, readers in self._plan.readers.items():
            _quantize_tensor(graph, values[tensor], self._scales[tensor], readers)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if a reader in the plan still reads a tensor that is not quantized."""
        nodes = {str(node.name): node for node in model.graph}
        for tensor, readers in self._plan.readers.items():
            for reader in readers:
                if tensor in names(nodes[reader].inputs):
                    raise ir.passes.PostconditionError(f"{reader} still reads {tensor} unquantized")

    def _quantize_weights(self, graph: ir.Graph, node: ir.Node) -> None:
        """Quantize the weights of a convolution; correct and, if required, quantize its bias."""
        tensor = names(node.inputs)[0]
        weights, bias = _constant(self._graph, node, 1), _constant(self._graph, node, 2)
        steps = weight_steps(weights)
        if self._quantized_bias and bias.size:
            steps = steps_for_bias(steps, bias, self._scales[tensor])
        levels = round_weights(weights, steps)
        node.replace_input_with(1, _add_dequantized(graph, f"{node.name}.weight", levels, steps))
        if not bias.size:
            return
        if tensor in self._means:
            lost = weights - levels * steps.astype(np.float64).reshape(-1, 1, 1, 1)
            groups = node.attributes.get_int("group", 1)
            bias = (bias + lost_mean(lost, self._means[tensor], groups)).astype(bias.dtype)
        if self._quantized_bias:
            products = (steps.astype(np.float64) * float(self._scales[tensor].step)).astype(np.float32)
            levels32 = np.round(bias / products.astype(np.float64)).astype(np.int32)
            node.replace_input_with(2, _add_dequantized(graph, f"{node.name}.bias", levels32, products))
        else:
            node.replace_input_with(2, _add_constant(graph, f"{node.name}.bias", bias))

    def _quantize_matrix(self, graph: ir.Graph, node: ir.Node) -> None:
        """Quantize the weights of a linear layer, (C, C'). Its bias is added by another node and stays as it is."""
        weights = _constant(self._graph, node, 1).T
        steps = weight_steps(weights)
        levels = round_weights(weights, steps).T
        node.replace_input_with(1, _add_dequantized(graph, f"{node.name}.weight", levels, steps, axis=1))


def _constant(graph: Graph, node: ir.Node, position: int) -> NDArray[np.floating]:
    """Return the value of input ``position`` of ``node``, or an empty array if there is no constant."""
    found = graph.constant(names(node.inputs)[position]) if len(node.inputs) > position else None
    return np.zeros(0) if found is None else np.asarray(found)


def _quantize_tensor(graph: ir.Graph, tensor: ir.Value, scale: Scale, readers: Collection[str]) -> None:
    """Insert a Q/DQ pair after ``tensor`` for its ``readers``; other nodes still read ``tensor``."""
    constants = [
        _add_constant(graph, f"{tensor.name}.scale", scale.step),
        _add_constant(graph, f"{tensor.name}.zero", scale.zero),
    ]
    uses = [(node, position) for node, position in tensor.uses() if node.name in readers]
    levels = _create_node(
        "QuantizeLinear", [tensor, *constants], f"{tensor.name}.levels", constants[1].dtype, tensor.shape
    )
    real = _create_node(
        "DequantizeLinear", [levels, *constants], f"{tensor.name}.dequantized", tensor.dtype, tensor.shape
    )
    _insert_after(graph, tensor, [levels, real])
    for node, position in uses:
        node.replace_input_with(position, real)


def _add_dequantized(
    graph: ir.Graph, name: str, levels: NDArray[np.integer], steps: NDArray[np.floating], axis: int = 0
) -> ir.Value:
    """Add a quantized constant and a node that dequantizes it per channel along ``axis``; return its output."""
    inputs = [_add_constant(graph, f"{name}.levels", levels), _add_constant(graph, f"{name}.scale", steps)]
    inputs.append(_add_constant(graph, f"{name}.zero", np.zeros(len(steps), levels.dtype)))
    real = _create_node("DequantizeLinear", inputs, name, inputs[1].dtype, inputs[0].shape, axis=axis)
    _insert_after(graph, None, [real])
    return real


def _add_constant(graph: ir.Graph, name: str, values: NDArray[np.generic]) -> ir.Value:
    tensor = ir.tensor(np.asarray(values), name=name)
    value = ir.Value(name=name, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _create_node(
    operator: str,
    inputs: list[ir.Value],
    output: str,
    dtype: ir.DataType | None,
    shape: ir.Shape | None,
    **attributes: int,
) -> ir.Value:
    """Create a node with one output, after which it is named; return the output."""
    result = ir.Value(name=output, shape=shape, type=None if dtype is None else ir.TensorType(dtype))
    ir.node(operator, inputs, attributes=attributes, outputs=[result], name=f"{output}/{operator}")
    return result


def _insert_after(graph: ir.Graph, tensor: ir.Value | None, results: list[ir.Value]) -> None:
    """Insert the producers of ``results`` after that of ``tensor``, or at the graph's start if there is none."""
    nodes = [node for result in results if (node := result.producer()) is not None]
    maker = None if tensor is None else tensor.producer()
    if maker is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(maker, nodes)
