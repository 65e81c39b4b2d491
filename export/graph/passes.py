"""Passes that edit a traced graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from pem_edge.export.graph.plugin_operator import UseNativeDeformConv
from pem_edge.export.graph.rewrites.deformable_attention import NVIDIA_OPERATOR

_MIN_STORED_SIZE = 1024
"""Minimum number of elements of a constant that is stored in half precision."""


class ReplaceNvidiaAttention(ir.passes.InPlacePass):
    """Replaces NVIDIA's plugin for deformable attention by Identity, which returns a tensor of the same shape.

    The graph then runs in ONNX Runtime, with the right shapes but the wrong values.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the operator in place."""
        found = [node for node in model.graph if node.op_type == NVIDIA_OPERATOR]
        for node in found:
            node.op_type, node.domain = "Identity", ""
            node.resize_inputs(1)
        return ir.passes.PassResult(model, modified=bool(found))

    def ensures(self, model: ir.Model) -> None:
        """Raise PostconditionError if an operator of the plugin is left."""
        if any(node.op_type == NVIDIA_OPERATOR for node in model.graph):
            raise ir.passes.PostconditionError(f"{NVIDIA_OPERATOR} is still in the graph")


class StoreConstantsAsFloat16(ir.passes.InPlacePass):
    """Stores large float32 constants as float16 where no value changes, each followed by a cast to float32."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace the constants in place."""
        constants = list(model.graph.initializers.values())
        halves = {value: half for value in constants if (half := _to_float16(value)) is not None}
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
        """Raise PostconditionError if a constant that could be stored as float16 is left."""
        if left := [value.name for value in model.graph.initializers.values() if _to_float16(value) is not None]:
            raise ir.passes.PostconditionError(f"{left[0]} is not stored as float16")


def with_native_deform_conv(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a graph with ONNX's DeformConv in place of our plugin, so that ONNX Runtime runs it."""
    return _edit_copy(proto, UseNativeDeformConv())


def with_runnable_operators(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a graph that ONNX Runtime runs, with tensors of the same shapes but not of the same values."""
    return _edit_copy(proto, UseNativeDeformConv(), ReplaceNvidiaAttention())


def with_float16_constants(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a graph that stores constants in half precision where that loses nothing."""
    return _edit_copy(proto, StoreConstantsAsFloat16())


def _edit_copy(proto: onnx.ModelProto, *edits: ir.passes.InPlacePass) -> onnx.ModelProto:
    model = ir.from_proto(proto)
    for edit in edits:
        edit(model)
    return ir.to_proto(model)


def _to_float16(value: ir.Value) -> ir.TensorProtocol | None:
    """Return a constant as float16; None if it is small, not float32, or would change."""
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _MIN_STORED_SIZE:
        return None
    exact = tensor.numpy()
    with np.errstate(over="ignore"):
        half = exact.astype(np.float16)
    return ir.tensor(half, name=f"{value.name}/half") if np.array_equal(half.astype(np.float32), exact) else None
