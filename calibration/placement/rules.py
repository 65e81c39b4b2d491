"""The rules of the two placements of Q/DQ pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pem_edge.runtime.artifacts.sections import Placement

PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

PASSING = frozenset({"Concat", "MaxPool", "AveragePool"})
"""Operators that only move or average values. If their result is quantized, so are their inputs, with one scale."""


@dataclass(frozen=True)
class Rules:
    """The rules for activations: their type, and which are quantized besides the inputs of ordinary convolutions.

    Attributes:
        symmetric: Whether activations become int8 with zero point 0; otherwise, uint8 with any zero point.
        outputs: Whether the result of a quantized convolution is quantized for all its readers.
        both_summands: Whether both summands of a residual sum are quantized, or else only the one that the kernel of a
            convolution adds to its own result.
        deformable: Whether the samples of a deformable convolution are quantized, where a node of its own multiplies
            them with the weights.
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
"""TensorRT: explicit quantization as its documentation asks for, no pair between a convolution and its ReLU. CPU: a
kernel of onnxruntime's takes bytes and makes bytes, so every convolution's result is quantized; OpenVINO's fuse the
same pairs, and both have their fastest kernels for uint8 times int8."""
