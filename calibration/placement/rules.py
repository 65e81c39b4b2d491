"""Defines the rules by which each placement selects the tensors to quantize."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pem_edge.runtime.artifacts.sections import Placement

PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
"""Names of the placements."""

PASSING = frozenset({"Concat", "MaxPool", "AveragePool"})
"""Operators that only move or average values.

If the output of such an operator is quantized, its inputs are quantized with the same scale.
"""


@dataclass(frozen=True)
class Rules:
    """The rules of a placement. The inputs of ordinary convolutions are always quantized.

    Attributes:
        symmetric: Whether activations become int8 with zero point 0; otherwise, uint8 with any zero point.
        outputs: Whether the output of a quantized convolution is quantized for all its readers.
        both_summands: Whether both summands of a residual sum are quantized; otherwise, only the one that a
            convolution's kernel adds to its own output.
        deformable: Whether the product of a deformable convolution's samples with its weights is quantized.
        bias: Whether biases become int32.
    """

    symmetric: bool
    outputs: bool
    both_summands: bool
    deformable: bool
    bias: bool


RULES: dict[Placement, Rules] = {
    "tensorrt": Rules(symmetric=True, outputs=False, both_summands=False, deformable=False, bias=False),
    "cpu": Rules(symmetric=False, outputs=True, both_summands=True, deformable=True, bias=True),
}
"""Rules of each placement.

``tensorrt`` follows TensorRT's documentation of explicit quantization: no pair between a convolution and its ReLU.
``cpu`` is for ONNX Runtime, whose INT8 kernels also output INT8, so each convolution's output is quantized. OpenVINO
fuses the same pairs. Both have their fastest kernels for uint8 activations and int8 weights.
"""
