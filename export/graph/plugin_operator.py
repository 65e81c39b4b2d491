"""The operator of our TensorRT plugin in ONNX's operators.

The operator takes X, a packed weight W, ``raw`` (the offsets and then the logits of the mask) and the bias B.
runtime/backends/tensorrt/plugins/deform_conv/geometry.h describes it. Does not import PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from pem_edge.runtime.backends.tensorrt.plugins.operator import NAME

_SHARED = ("kernel_shape", "strides", "pads", "dilations", "group", "offset_group")
"""Attributes that ONNX's DeformConv has, too."""


class UseNativeDeformConv(ir.passes.InPlacePass):
    """Replaces the operator by what it consists of: Split, Sigmoid, ONNX's DeformConv and Relu, in single precision.

    What a node gave keeps its name, and so does the node that computes it.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the operator in place."""
        found = [node for node in model.graph if node.op_type == NAME]
        for node in found:
            expansion = _Expansion(node)
            for constant in expansion.constants:
                model.graph.register_initializer(constant)
            given = [expansion.given]
            ir.convenience.replace_nodes_and_values(model.graph, node, [node], expansion.nodes, node.outputs, given)
            expansion.given.name = node.outputs[0].name
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=bool(found))

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if the operator is left."""
        if any(node.op_type == NAME for node in model.graph):
            raise ir.passes.PostconditionError(f"{NAME} is still in the graph")


class _Expansion:
    """The nodes and constants that stand for a node of the operator, and the tensor that they give."""

    def __init__(self, node: ir.Node) -> None:
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self._node = node
        attributes = node.attributes
        x, _, raw, bias = node.inputs
        assert x is not None
        half = x.dtype == ir.DataType.FLOAT16
        if half:
            x, raw = (self._add("Cast", [value], {"to": ir.DataType.FLOAT})[0] for value in (x, raw))
        mask = math.prod(attributes["kernel_shape"].as_ints()) * attributes.get_int("offset_group", 1)
        offsets, logits = self._add("Split", [raw, self._constant("sizes", np.array([2 * mask, mask]))], {"axis": 1}, 2)
        (modulation,) = self._add("Sigmoid", [logits])
        weight = self._constant("weight", _unpack(node))
        bias = self._constant("bias", _value(bias).astype(np.float32))
        shared = {name: attributes[name] for name in _SHARED if name in attributes}
        (self.given,) = self._add("DeformConv", [x, weight, offsets, bias, modulation], shared)
        if attributes.get_int("relu", 0):
            (self.given,) = self._add("Relu", [self.given])
        self.nodes[-1].name = node.name
        if half:
            (self.given,) = self._add("Cast", [self.given], {"to": ir.DataType.FLOAT16})

    def _add(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, ir.Attr | int] | None = None,
        outputs: int = 1,
    ) -> Sequence[ir.Value]:
        name = f"{self._node.name}/{len(self.nodes)}/{operator}"
        values = [ir.Value(name=f"{name}:{index}") for index in range(outputs)]
        self.nodes.append(ir.node(operator, inputs, attributes, outputs=values, name=name))
        return values

    def _constant(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        tensor = ir.tensor(array, name=f"{self._node.name}/{name}")
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.constants.append(value)
        return value


def _unpack(node: ir.Node) -> NDArray[np.generic]:
    """Return the weight of a node of the operator as ONNX has it, (C', C / group, kh, kw), in single precision."""
    x, packed, _, bias = node.inputs
    assert x is not None
    assert x.shape is not None
    channels = x.shape[1]
    assert isinstance(channels, int)
    weight = _value(packed)[:, : channels // node.attributes.get_int("group", 1), : _value(bias).size].astype(
        np.float32
    )
    return weight.transpose(2, 1, 0).reshape(*weight.shape[:0:-1], *node.attributes["kernel_shape"].as_ints())


def _value(constant: ir.Value | None) -> NDArray[np.generic]:
    """Return the value of a constant, or of the cast of a constant."""
    assert constant is not None
    cast = constant.producer()
    if cast is not None:
        return _value(cast.inputs[0])
    assert constant.const_value is not None
    return constant.const_value.numpy()
