"""Turns a quantized graph back into one in floating point. Does not import PyTorch, which a Jetson may lack."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass


class RemoveInt8(ir.passes.InPlacePass):
    """Removes quantization from a graph; the weights keep the values that INT8 rounded them to."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the result of each DequantizeLinear, in place, by the tensor that was quantized."""
        nodes = [node for node in model.graph if node.op_type == "DequantizeLinear"]
        for node in nodes:
            source, dequantized = node.inputs[0], node.outputs[0]
            assert source is not None
            quantizer = source.producer()
            floating = _dequantize(node) if quantizer is None else quantizer.inputs[0]
            assert floating is not None
            dequantized.replace_all_uses_with(floating)
            if quantizer is None:
                model.graph.register_initializer(floating)
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=bool(nodes))

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if a QuantizeLinear or DequantizeLinear is left."""
        if left := [node.name for node in model.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]:
            raise ir.passes.PostconditionError(f"{left[0]} is still in the graph")


def remove_int8(quantized: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of ``quantized`` that computes in floating point, with the weights that INT8 rounded."""
    model = ir.from_proto(quantized)
    RemoveInt8()(model)
    return ir.to_proto(model)


def _dequantize(node: ir.Node) -> ir.Value:
    """Return the result of a DequantizeLinear of a constant, as a constant."""
    values, scale, *rest = (_to_array(value) for value in node.inputs)
    zero = rest[0] if rest else np.zeros_like(scale, values.dtype)
    axis = node.attributes.get_int("axis", 1)
    shape = [-1 if index == axis else 1 for index in range(values.ndim)] if scale.ndim else []
    steps = scale.astype(np.float32).reshape(shape)
    exact = (values.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * steps
    name = f"{node.outputs[0].name}.exact"
    tensor = ir.tensor(exact.astype(scale.dtype), name=name)
    return ir.Value(name=name, shape=ir.Shape(exact.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def _to_array(value: ir.Value | None) -> NDArray[np.generic]:
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()
