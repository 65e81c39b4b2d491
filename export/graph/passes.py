"""Edits of a traced graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from pem_edge.export.graph.rewrites.deform_conv import PLUGIN_OPERATOR

_WORTH_HALVING = 1024
"""Elements of the smallest constant that is stored in half precision."""


class NativeDeformConv(ir.passes.InPlacePass):
    """Replaces our plugin's operator by ONNX's DeformConv, which takes the same inputs and attributes."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rename the operator, in place."""
        found = [node for node in model.graph if node.op_type == PLUGIN_OPERATOR]
        for node in found:
            node.op_type, node.domain = "DeformConv", ""
        return ir.passes.PassResult(model, modified=bool(found))

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if an operator of the plugin is left."""
        if any(node.op_type == PLUGIN_OPERATOR for node in model.graph):
            raise ir.passes.PostconditionError(f"{PLUGIN_OPERATOR} is still there")


class StoreExactHalves(ir.passes.InPlacePass):
    """Stores large float32 constants that float16 holds exactly as float16, cast back when the model is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the constants, in place."""
        halves = {value: half for value in model.graph.initializers.values() if (half := _half(value)) is not None}
        for value, half in halves.items():
            stored = ir.Value(name=half.name, shape=value.shape, type=ir.TensorType(half.dtype), const_value=half)
            cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, name=f"{value.name}/Cast")
            model.graph.insert_before(model.graph[0], cast)
            value.replace_all_uses_with(cast.outputs[0])
            del model.graph.initializers[str(value.name)]
            model.graph.register_initializer(stored)
            cast.outputs[0].name, cast.outputs[0].shape, cast.outputs[0].type = value.name, value.shape, value.type
        return ir.passes.PassResult(model, modified=bool(halves))

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if such a constant is left."""
        if left := [value.name for value in model.graph.initializers.values() if _half(value) is not None]:
            raise ir.passes.PostconditionError(f"{left[0]} is not stored in half precision")


def with_native_deform_conv(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that runs where our plugin does not exist, to prove that the rest is right."""
    return _edited(proto, NativeDeformConv())


def with_exact_halves(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that stores constants in half precision where that loses nothing."""
    return _edited(proto, StoreExactHalves())


def _edited(proto: onnx.ModelProto, edit: ir.passes.InPlacePass) -> onnx.ModelProto:
    model = ir.from_proto(proto)
    edit(model)
    return ir.to_proto(model)


def _half(value: ir.Value) -> ir.TensorProtocol | None:
    """Return a constant in half precision, if it is large and that holds it exactly."""
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _WORTH_HALVING:
        return None
    exact = tensor.numpy()
    with np.errstate(over="ignore"):
        half = exact.astype(np.float16)
    return ir.tensor(half, name=f"{value.name}/half") if np.array_equal(half.astype(np.float32), exact) else None
