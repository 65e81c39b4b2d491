"""Builds ONNX models of convolutions or matrix products alone, which show the rate that a backend reaches at best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.measures.limits import onnx_encoding
from pem_edge.runtime.benchmark.measures.limits.onnx_encoding import Value

INPUT, OUTPUT = "x", "y"
CHAIN = 8
"""Number of operations in a row: what a backend does once, such as converting the input to its layout, costs little."""


@dataclass(frozen=True)
class Probe:
    """Operations in a row that share their weights.

    Attributes:
        operator: The operator.
        shape: The shape of each tensor that they read and write.
        weight_shape: The shape of the weights.
    """

    operator: Literal["Conv", "MatMul"]
    shape: tuple[int, ...]
    weight_shape: tuple[int, ...]

    @property
    def fan_in(self) -> int:
        """The number of multiply-accumulates for one element of an output."""
        return math.prod(self.weight_shape[1:])

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all operations together."""
        return CHAIN * math.prod(self.shape) * self.fan_in

    def example(self, precision: str) -> NDArray[np.floating]:
        """Return a random input for the model of that precision."""
        return np.random.default_rng(1).random(self.shape, np.float32).astype(_float(precision))


def convolution(channels: int, height: int, width: int, kernel: int = 3) -> Probe:
    """Return convolutions of ``kernel`` x ``kernel``, an odd number, on a map of ``height`` x ``width``."""
    return Probe("Conv", (1, channels, height, width), (channels, channels, kernel, kernel))


def product(rows: int, width: int) -> Probe:
    """Return products of a matrix of ``rows`` x ``width`` with one of ``width`` x ``width``."""
    return Probe("MatMul", (1, rows, width), (width, width))


def model(probe: Probe, precision: str) -> bytes:
    """Return the serialized ONNX model in "fp32", "fp16" or "int8", the last with Q/DQ around each operation."""
    dtype = _float(precision)
    weights = np.random.default_rng(0).normal(0, probe.fan_in**-0.5, probe.weight_shape).astype(dtype)
    nodes, constants = _quantized(probe, weights) if precision == "int8" else _plain(probe, weights)
    return onnx_encoding.model(nodes, constants, Value(INPUT, dtype, probe.shape), Value(OUTPUT, dtype, probe.shape))


def _float(precision: str) -> str:
    return "float16" if precision == "fp16" else "float32"


def _plain(probe: Probe, weights: NDArray[np.floating]) -> tuple[list[bytes], dict[str, NDArray[np.generic]]]:
    names = [INPUT, *(f"x{index}" for index in range(1, CHAIN)), OUTPUT]
    nodes = [_operation(probe, [names[index], "w"], names[index + 1]) for index in range(CHAIN)]
    return nodes, {"w": weights}


def _quantized(probe: Probe, weights: NDArray[np.floating]) -> tuple[list[bytes], dict[str, NDArray[np.generic]]]:
    scale = np.float32(np.abs(weights).max() / 127)
    constants: dict[str, NDArray[np.generic]] = {
        "w8": np.rint(weights / scale).astype(np.int8),
        "w_scale": np.array(scale),
        "w_zero": np.array(0, np.int8),
        "scale": np.array(0.02, np.float32),
        "zero": np.array(128, np.uint8),
    }
    nodes = [
        onnx_encoding.node("DequantizeLinear", ["w8", "w_scale", "w_zero"], "w"),
        onnx_encoding.node("QuantizeLinear", [INPUT, "scale", "zero"], "q0"),
    ]
    for index in range(CHAIN):
        nodes += [
            onnx_encoding.node("DequantizeLinear", [f"q{index}", "scale", "zero"], f"d{index}"),
            _operation(probe, [f"d{index}", "w"], f"c{index}"),
            onnx_encoding.node("QuantizeLinear", [f"c{index}", "scale", "zero"], f"q{index + 1}"),
        ]
    return [*nodes, onnx_encoding.node("DequantizeLinear", [f"q{CHAIN}", "scale", "zero"], OUTPUT)], constants


def _operation(probe: Probe, sources: Sequence[str], target: str) -> bytes:
    pads = {"pads": [probe.weight_shape[-1] // 2] * 4} if probe.operator == "Conv" else {}
    return onnx_encoding.node(probe.operator, sources, target, **pads)
