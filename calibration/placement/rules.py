"""What the two placements have in common and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pem_edge.runtime.artifacts.manifest import Placement

PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

PASSING = frozenset({"Concat", "MaxPool", "AveragePool"})
"""Operators that move or average bytes: what they read is quantized where what they make is, with one scale."""


@dataclass(frozen=True)
class Rules:
    """How activations are quantized, and which of them besides the inputs of ordinary convolutions.

    - ``symmetric``: int8 with zero point 0, else uint8 with any;
    - ``outputs``: what a quantized convolution computes is quantized for all its readers;
    - ``both_summands``: of a residual sum both are quantized, else only the one that is not a convolution's alone,
      which the kernel of that convolution adds;
    - ``deformable``: so are the samples that a deformable convolution multiplies with its weights, where a node of its
      own does that;
    - ``bias``: biases are int32.
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
