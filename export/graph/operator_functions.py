"""Definitions of the operators of TensorRT plugins in terms of ONNX's operators, as functions.

An exported graph carries them (see `pem_edge.runtime.artifacts.operator_definitions`), so that ONNX Runtime can run
what an engine is compared with. That is all they are for: they are exact, and not fast.
"""

# The functions below are never called: onnxscript translates their source to ONNX.
# mypy: disable-error-code="no-untyped-def, type-var, arg-type"

from __future__ import annotations

from base64 import b64encode

import onnx
from onnxscript import opset19 as op
from onnxscript import script
from onnxscript.values import OnnxFunction, Opset

from pem_edge.export.graph.rewrites.deformable_attention import NVIDIA_DOMAIN, NVIDIA_OPERATOR
from pem_edge.runtime.backends.tensorrt.plugins import operator as plugin

_ours, _nvidias = Opset(plugin.DOMAIN, 1), Opset(NVIDIA_DOMAIN, 1)


@script(_ours)
def neighbors(pixels, x, y, column, row, width, height, start):
    """Return the values at (column, row), weighted by their nearness to (x, y), and zero outside of the map."""
    inside_x = op.Max(0.0, op.Min(column, width - 1.0))
    inside_y = op.Max(0.0, op.Min(row, height - 1.0))
    is_inside = op.And(op.Equal(inside_x, column), op.Equal(inside_y, row))
    nearness = (1.0 - op.Abs(x - column)) * (1.0 - op.Abs(y - row))
    weight = op.Where(is_inside, nearness, 0.0)
    index = op.Cast(start + inside_y * width + inside_x, to=7)
    return op.GatherND(pixels, op.Unsqueeze(index, [-1]), batch_dims=1) * op.Unsqueeze(weight, [-1])


@script(_ours)
def sampled(pixels, x, y, width, height, start):
    """Sample maps bilinearly at points (B, P), giving (B, P, D).

    A map has ``height`` rows of ``width`` pixels, which are the rows of ``pixels`` (B, S, D) from ``start`` on.
    """
    x = op.Where(op.IsNaN(x), -2.0, x)
    y = op.Where(op.IsNaN(y), -2.0, y)
    left = op.Floor(x)
    top = op.Floor(y)
    first = neighbors(pixels, x, y, left, top, width, height, start)
    second = neighbors(pixels, x, y, left + 1.0, top, width, height, start)
    third = neighbors(pixels, x, y, left, top + 1.0, width, height, start)
    fourth = neighbors(pixels, x, y, left + 1.0, top + 1.0, width, height, start)
    return op.Sum(first, second, third, fourth)


@script(_ours, default_opset=op)
def tap_samples(data, raw):
    """Return the modulated samples (N, 9, H W, C) of ``data`` (N, C, H, W), for ``raw`` (N, 27, H, W), in float."""
    height = op.Squeeze(op.Shape(data, start=2, end=3))
    width = op.Squeeze(op.Shape(data, start=3))
    rows = op.Reshape(op.Cast(op.Range(0, height, 1), to=1), [-1, 1])
    columns = op.Cast(op.Range(0, width, 1), to=1)
    steps = op.Constant(value_floats=[-1.0, 0.0, 1.0])
    tap_y = op.Reshape(op.Expand(op.Reshape(steps, [3, 1]), [3, 3]), [9, 1, 1])
    tap_x = op.Reshape(op.Expand(steps, [3, 3]), [9, 1, 1])
    y = op.Slice(raw, [0], [18], [1], [2]) + tap_y + rows
    x = op.Slice(raw, [1], [18], [1], [2]) + tap_x + columns
    modulation = op.Sigmoid(op.Slice(raw, [18], [27], [1]))
    pixels = op.Transpose(op.Reshape(data, [0, 0, -1]), perm=[0, 2, 1])
    real_width = op.Cast(width, to=1)
    real_height = op.Cast(height, to=1)
    samples = sampled(pixels, op.Reshape(x, [0, -1]), op.Reshape(y, [0, -1]), real_width, real_height, 0.0)
    modulated = samples * op.Reshape(modulation, [0, -1, 1])
    return op.Reshape(modulated, op.Concat([0], [9], [-1], op.Shape(data, start=1, end=2), axis=0))


@script(_ours, default_opset=op)
def plugin_deform_conv(x, weight, raw, bias, relu: int = 0):
    """Compute what our plugin computes with PEM's attributes, see its geometry.h for the layout of ``weight``."""
    samples = tap_samples(op.Cast(x, to=1), op.Cast(raw, to=1))
    channels = op.Concat(op.Shape(x, start=1, end=2), op.Shape(bias), axis=0)
    products = op.MatMul(samples, op.Slice(op.Cast(weight, to=1), [0, 0], channels, [1, 2]))
    planes = op.Transpose(op.ReduceSum(products, [1], keepdims=0) + op.Cast(bias, to=1), perm=[0, 2, 1])
    maps = op.Reshape(planes, op.Concat([0], [-1], op.Shape(x, start=2), axis=0))
    flag = op.Constant(value_int=relu)
    return op.CastLike(op.Where(op.Cast(flag, to=9), op.Relu(maps), maps), x)


@script(_ours, default_opset=op)
def level_samples(pixels, shapes, starts, places):
    """Return the samples (B, P, D) of ``pixels`` (B, S, D) at ``places`` (N, heads, T, levels, points, 2), 0 to 1."""
    sizes = op.Cast(shapes, to=1)
    heights = op.Slice(sizes, [0], [1], [1])
    widths = op.Slice(sizes, [1], [2], [1])
    x = op.Squeeze(op.Slice(places, [0], [1], [5]), [5]) * widths - 0.5
    y = op.Squeeze(op.Slice(places, [1], [2], [5]), [5]) * heights - 0.5
    shape = op.Shape(x)
    merged = op.Concat([-1], op.ReduceProd(op.Shape(x, start=2), keepdims=1), axis=0)
    every_width = op.Reshape(op.Expand(widths, shape), merged)
    every_height = op.Reshape(op.Expand(heights, shape), merged)
    every_start = op.Reshape(op.Expand(op.Unsqueeze(op.Cast(starts, to=1), [1]), shape), merged)
    return sampled(pixels, op.Reshape(x, merged), op.Reshape(y, merged), every_width, every_height, every_start)


@script(_nvidias, default_opset=op)
def nvidia_attention(values, shapes, starts, places, weights):
    """Compute what NVIDIA's plugin computes: means (N, T, heads, D) of ``values`` (N, S, heads, D).

    ``places`` (N, T, heads, levels, points, 2) are x and y from 0 to 1, ``weights`` (N, T, heads, levels, points).
    """
    by_head = op.Transpose(op.Cast(values, to=1), perm=[0, 2, 1, 3])
    pixels = op.Reshape(by_head, op.Concat([-1], op.Shape(by_head, start=2), axis=0))
    samples = level_samples(pixels, shapes, starts, op.Transpose(op.Cast(places, to=1), perm=[0, 2, 1, 3, 4, 5]))
    factors = op.Transpose(op.Cast(weights, to=1), perm=[0, 2, 1, 3, 4])
    tokens = op.Shape(factors, end=3)
    by_token = op.Reshape(samples, op.Concat(tokens, [-1], op.Shape(values, start=3), axis=0))
    weighed = by_token * op.Reshape(factors, op.Concat(tokens, [-1], [1], axis=0))
    return op.CastLike(op.Transpose(op.ReduceSum(weighed, [3], keepdims=0), perm=[0, 2, 1, 3]), values)


_FUNCTIONS: dict[str, tuple[OnnxFunction[..., object], ...]] = {
    plugin.NAME: (neighbors, sampled, tap_samples, plugin_deform_conv),
    NVIDIA_OPERATOR: (neighbors, sampled, level_samples, nvidia_attention),
}
"""The functions that define an operator, by its name; the last is the operator's own."""


def definitions(proto: onnx.ModelProto) -> str | None:
    """Return what defines the plugins' operators of a graph, as its metadata has it; None if it has none of them."""
    operators = {node.op_type for node in proto.graph.node} & _FUNCTIONS.keys()
    if not operators:
        return None
    functions = {(each.domain, each.name): each for operator in sorted(operators) for each in _define(operator)}
    known = {opset.domain for opset in proto.opset_import}
    model = onnx.ModelProto(
        functions=functions.values(),
        opset_import=[] if plugin.DOMAIN in known else [onnx.helper.make_opsetid(plugin.DOMAIN, 1)],
    )
    return b64encode(model.SerializeToString()).decode()


def _define(operator: str) -> list[onnx.FunctionProto]:
    found = [function.to_function_proto() for function in _FUNCTIONS[operator]]
    found[-1].name = operator
    return found
