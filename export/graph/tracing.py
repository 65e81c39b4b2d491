"""Traces a PyTorch module to a clean ONNX graph."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import CheckerPass
from torch import Tensor, nn
from torch.export import Dim

from pem_edge.export.graph.cleaning import clean
from pem_edge.export.graph.translation import translate
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, InputSpec
from pem_edge.runtime.errors import ExportError

OPSET = 19
"""Version of ONNX's operators: the first with DeformConv, and so the one that most runtimes support."""


MOST_BYTES = 2_000_000_000
"""Limit on the bytes of weights: a protobuf has 2 GiB at most, and the graph itself takes some megabytes."""


def to_onnx(
    module: nn.Module,
    example: Tensor,
    *,
    dynamic: dict[int, Dim] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Trace ``module`` and clean the graph.

    Args:
        module: A module of one input, ``image``, and two outputs, ``logits`` and ``masks``.
        example: An input of ``module``.
        dynamic: The dimensions of ``example`` that may vary, each with a `torch.export.Dim` expression; the other
            dimensions are fixed.
        opset: The version of ONNX's operators.

    Returns:
        The graph, which has passed the ONNX checker.

    Raises:
        ExportError: If the weights exceed what an ONNX file can hold.
    """
    with _quiet(), _without_garbage_collection():
        model = translate(module.eval(), example, dynamic, opset)
        clean(model)
    _require_size(model)
    CheckerPass(full_check=True)(model)
    return ir.to_proto(model)


def _require_size(model: ir.Model) -> None:
    """Raise ExportError if the weights leave no room for the graph in an ONNX file."""
    stored = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    if stored > MOST_BYTES:
        raise ExportError(
            f"the weights take {stored / 1e9:.1f} GB, more than the {MOST_BYTES / 1e9:.0f} GB that an ONNX file holds: "
            "choose --precision fp16, or a smaller variant"
        )


def example_for(spec: InputSpec) -> Tensor:
    """Return a zero image batch to trace with, uint8 (N, H, W, 3)."""
    # torch.export takes a dimension of 1 to be fixed.
    batch = max(2, spec.batch) if spec.dynamic_batch else spec.batch
    return torch.zeros(batch, spec.height, spec.width, 3, dtype=torch.uint8)


def dynamic_dims(spec: InputSpec) -> dict[int, Dim] | None:
    """Return the dynamic dimensions of the input for `to_onnx`, or None if the size is fixed."""
    dims: dict[int, Dim] = {}
    if spec.dynamic_batch is not None:
        dims[0] = Dim("batch", min=spec.dynamic_batch.least, max=spec.dynamic_batch.most)
    for axis, name, sizes in ((1, "rows", spec.dynamic_height), (2, "columns", spec.dynamic_width)):
        if sizes is not None:
            dims[axis] = MULTIPLE_OF * Dim(name, min=sizes.least // MULTIPLE_OF, max=sizes.most // MULTIPLE_OF)
    return dims or None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about optional packages and deprecated internals: users cannot act on them."""
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


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect no garbage until the end: looking for it again and again would take an eighth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
            gc.collect()
