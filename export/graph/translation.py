"""Traces a PyTorch module and translates its operations to ONNX, in one trace at a fixed size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset18
from onnxscript.onnx_types import TensorType
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import config as fx_config

_aten = torch.ops.aten
_op: Any = opset18  # its types are those of whole models, not of the values that its operators are called with here


def translate(module: nn.Module, example: Tensor, dynamic: Mapping[int, Dim] | None, opset: int) -> ir.Model:
    """Trace ``module`` and translate it. See `pem_edge.export.graph.tracing.to_onnx` for the arguments.

    Before it translates, PyTorch's exporter decomposes what was traced into fewer kinds of operations, which traces all
    of it again. At a fixed size this is left out: the graph is the same but for the names of some nodes. Where sizes
    vary, it would be larger.
    """
    with _without_stack_traces():
        if dynamic is not None:
            return _to_onnx(module, opset, (example,), dynamic_shapes=(dynamic,))
        program = torch.export.export(module, (example,))
        if not _writes_to_tensors(program):
            # What has no translation, as another release of PyTorch may trace it, is decomposed below.
            with suppress(torch.onnx.OnnxExporterError), _without_decompositions(program):
                return _to_onnx(program, opset, custom_translation_table=_TRANSLATIONS)
        return _to_onnx(program, opset)


def _to_onnx(
    traced: nn.Module | ExportedProgram,
    opset: int,
    arguments: tuple[Tensor, ...] = (),
    dynamic_shapes: tuple[Mapping[int, Dim]] | None = None,
    custom_translation_table: dict[Callable[..., object], Callable[..., object]] | None = None,
) -> ir.Model:
    program = torch.onnx.export(
        traced,
        arguments,
        dynamo=True,
        opset_version=opset,
        input_names=["image"],
        output_names=["logits", "masks"],
        dynamic_shapes=dynamic_shapes,
        custom_translation_table=custom_translation_table,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    return program.model


def _writes_to_tensors(program: ExportedProgram) -> bool:
    """Return whether an operation changes a tensor in place, which ONNX cannot express and decomposition removes."""
    targets = {node.target for node in program.graph.nodes if node.op == "call_function"} - {_aten.detach_.default}
    return any(isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable for target in targets)


@contextmanager
def _without_decompositions(program: ExportedProgram) -> Iterator[None]:
    """Let the exporter take ``program`` as it is."""
    program.run_decompositions = lambda *_: program
    try:
        yield
    finally:
        del program.run_decompositions


@contextmanager
def _without_stack_traces() -> Iterator[None]:
    """Spare the tracer looking up the line of code that each operation comes from: the graph is not to have them."""
    before = getattr(fx_config, "do_not_emit_stack_traces", False)  # older releases of PyTorch ignore it
    fx_config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        fx_config.do_not_emit_stack_traces = before


def _cast(x: TensorType, dtype: int, _non_blocking: bool = False, _copy: bool = False, _format: int = 0) -> TensorType:
    cast: TensorType = _op.Cast(x, to=dtype)
    return cast


def _detach(x: TensorType) -> TensorType:
    same: TensorType = _op.Identity(x)
    return same


def _subtract_from(x: TensorType, other: float) -> TensorType:
    difference: TensorType = _op.Sub(other, x)
    return difference


def _batch_norm(
    x: TensorType,
    weight: TensorType,
    bias: TensorType,
    mean: TensorType,
    variance: TensorType,
    _training: bool,
    _momentum: float,
    epsilon: float,
    _cudnn_enabled: bool,
) -> TensorType:
    normalized: TensorType = _op.BatchNormalization(x, weight, bias, mean, variance, epsilon=epsilon)
    return normalized


def _conv_transpose(
    x: TensorType,
    weight: TensorType,
    bias: TensorType | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> TensorType:
    output: TensorType = _op.ConvTranspose(
        x,
        weight,
        bias,
        strides=stride,
        pads=[*padding, *padding],
        output_padding=output_padding,
        group=groups,
        dilations=dilation,
    )
    return output


_TRANSLATIONS: dict[Callable[..., object], Callable[..., object]] = {
    _aten.to.dtype: _cast,
    _aten.detach_.default: _detach,
    _aten.rsub.Scalar: _subtract_from,
    _aten.batch_norm.default: _batch_norm,
    _aten.conv_transpose2d.input: _conv_transpose,
}
"""Translations of the operations that PyTorch's exporter has none for, because it decomposes them."""
