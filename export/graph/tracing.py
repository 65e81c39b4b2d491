"""From a PyTorch module to a clean ONNX graph."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.export import Dim

from pem_edge.export.graph.cleaning import clean
from pem_edge.export.graph.rewrites.deform_conv import PLUGIN_OPERATOR
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, InputSpec

OPSET = 19
"""The first with DeformConv; every later runtime reads it."""

_WORTH_HALVING = 1024
"""Elements of the smallest constant that `store_exact_halves` looks at."""


def to_onnx(
    module: nn.Module,
    example: Tensor,
    *,
    dynamic: dict[int, Dim] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Trace ``module``, a function of one tensor to logits and masks, and clean the graph.

    ``dynamic`` maps dimensions of ``example`` to `torch.export.Dim` expressions; all others are fixed.
    """
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=["image"],
            output_names=["logits", "masks"],
            dynamic_shapes=None if dynamic is None else (dynamic,),
            optimize=False,
            verbose=False,
        )
        assert program is not None
        clean(program.model)
    proto = ir.to_proto(program.model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def example_for(spec: InputSpec) -> Tensor:
    """A tensor to trace with. A dynamic dimension must not be 1, which torch.export takes to be fixed."""
    batch = max(2, spec.batch) if spec.dynamic_batch else spec.batch
    return torch.zeros(batch, spec.height, spec.width, 3, dtype=torch.uint8)


def dynamic_dims(spec: InputSpec) -> dict[int, Dim] | None:
    """The dimensions of ``image`` that may vary, as `to_onnx` wants them."""
    dims: dict[int, Dim] = {}
    if spec.dynamic_batch is not None:
        dims[0] = Dim("batch", min=spec.dynamic_batch.least, max=spec.dynamic_batch.most)
    for axis, name, sizes in ((1, "rows", spec.dynamic_height), (2, "columns", spec.dynamic_width)):
        if sizes is not None:
            dims[axis] = MULTIPLE_OF * Dim(name, min=sizes.least // MULTIPLE_OF, max=sizes.most // MULTIPLE_OF)
    return dims or None


def with_native_deform_conv(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with our plugin's operator replaced by ONNX's DeformConv, which takes the same inputs and attributes.

    Runs where the plugin does not exist, to prove that the rest is right.
    """
    native = onnx.ModelProto()
    native.CopyFrom(proto)
    for node in native.graph.node:
        if node.op_type == PLUGIN_OPERATOR:
            node.op_type, node.domain = "DeformConv", ""
    return native


def store_exact_halves(proto: onnx.ModelProto) -> None:
    """Store large float32 constants that float16 holds exactly as float16, cast back when the model is loaded."""
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or math.prod(tensor.dims) < _WORTH_HALVING:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(halves, f"{name}/half"))
            cast = onnx.helper.make_node("Cast", [tensor.name], [name], f"{name}/Cast", to=onnx.TensorProto.FLOAT)
            casts.append(cast)
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about optional packages and deprecated internals off the user's screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
