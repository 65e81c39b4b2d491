"""Builds an ONNX model of convolutions alone, which shows the rate that a backend can reach at best.

The runtime does not depend on the onnx package, so the protocol buffer is encoded here
(https://protobuf.dev/programming-guides/encoding/), with the field numbers of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INPUT = "x"
CHAIN = 4
"""Number of convolutions in a row: converting input and output to and from the backend's layout then costs little."""

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "float16": 10}  # TensorProto.DataType
_IR_VERSION, _OPSET = 9, 18
_INTS = 7  # AttributeProto.AttributeType


@dataclass(frozen=True)
class Shape:
    """The size of the convolutions: 3x3, from ``channels`` to ``channels``, on one map of ``height`` x ``width``."""

    channels: int
    height: int
    width: int

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all convolutions together."""
        return CHAIN * 9 * self.channels**2 * self.height * self.width

    def example(self, precision: str) -> NDArray[np.floating]:
        """Return a random input for the model, (1, channels, height, width)."""
        values = np.random.default_rng(1).random((1, self.channels, self.height, self.width), np.float32)
        return values.astype(_float(precision))


def model(shape: Shape, precision: str) -> bytes:
    """Return the serialized ONNX model in "fp32", "fp16" or "int8", the last with Q/DQ around each convolution."""
    dtype = _float(precision)
    scale = np.sqrt(2 / (9 * shape.channels), dtype=np.float32)
    weights = np.random.default_rng(0).normal(0, scale, (shape.channels, shape.channels, 3, 3))
    nodes, constants = _quantized(weights) if precision == "int8" else _plain(weights.astype(dtype))
    size = (1, shape.channels, shape.height, shape.width)
    graph = [
        *(_message(1, node) for node in nodes),
        _message(2, b"convolutions"),
        *(_message(5, _tensor(name, value)) for name, value in constants.items()),
        _message(11, _value_info(INPUT, dtype, size)),
        _message(12, _value_info("y", dtype, size)),
    ]
    return _number(1, _IR_VERSION) + _message(7, b"".join(graph)) + _message(8, _number(2, _OPSET))


def _float(precision: str) -> str:
    return "float16" if precision == "fp16" else "float32"


def _plain(weights: NDArray[np.floating]) -> tuple[list[bytes], dict[str, NDArray[np.generic]]]:
    names = [INPUT, *(f"x{index}" for index in range(1, CHAIN)), "y"]
    nodes = [_convolution(names[index], "w", names[index + 1]) for index in range(CHAIN)]
    return nodes, {"w": weights}


def _quantized(weights: NDArray[np.floating]) -> tuple[list[bytes], dict[str, NDArray[np.generic]]]:
    scale = np.float32(np.abs(weights).max() / 127)
    constants: dict[str, NDArray[np.generic]] = {
        "w8": np.rint(weights / scale).astype(np.int8),
        "w_scale": np.array(scale),
        "w_zero": np.array(0, np.int8),
        "scale": np.array(0.02, np.float32),
        "zero": np.array(128, np.uint8),
    }
    nodes = [
        _node("DequantizeLinear", ["w8", "w_scale", "w_zero"], "w"),
        _node("QuantizeLinear", [INPUT, "scale", "zero"], "q0"),
    ]
    for index in range(CHAIN):
        nodes += [
            _node("DequantizeLinear", [f"q{index}", "scale", "zero"], f"d{index}"),
            _convolution(f"d{index}", "w", f"c{index}"),
            _node("QuantizeLinear", [f"c{index}", "scale", "zero"], f"q{index + 1}"),
        ]
    return [*nodes, _node("DequantizeLinear", [f"q{CHAIN}", "scale", "zero"], "y")], constants


def _convolution(source: str, weights: str, target: str) -> bytes:
    pads = _message(1, b"pads") + b"".join(_number(8, 1) for _ in range(4)) + _number(20, _INTS)
    return _node("Conv", [source, weights], target) + _message(5, pads)


def _node(kind: str, sources: Sequence[str], target: str) -> bytes:
    inputs = b"".join(_message(1, name.encode()) for name in sources)
    return inputs + _message(2, target.encode()) + _message(3, target.encode()) + _message(4, kind.encode())


def _tensor(name: str, value: NDArray[np.generic]) -> bytes:
    dimensions = b"".join(_number(1, size) for size in value.shape)
    return dimensions + _number(2, _TYPES[value.dtype.name]) + _message(8, name.encode()) + _message(9, value.tobytes())


def _value_info(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(_message(1, _number(1, size)) for size in shape)
    tensor_type = _number(1, _TYPES[dtype]) + _message(2, dimensions)
    return _message(1, name.encode()) + _message(2, _message(1, tensor_type))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
