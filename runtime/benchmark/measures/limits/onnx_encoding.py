"""Encodes small ONNX models.

The runtime does not depend on the onnx package, so the protocol buffer is encoded here
(https://protobuf.dev/programming-guides/encoding/), with the field numbers of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "float16": 10}  # TensorProto.DataType
_IR_VERSION, _OPSET = 9, 18
_INTS = 7  # AttributeProto.AttributeType


@dataclass(frozen=True)
class Value:
    """An input or output of a graph: its name, element type ("float32", "uint8", "int8" or "float16") and shape."""

    name: str
    dtype: str
    shape: Sequence[int]


def model(nodes: Iterable[bytes], constants: Mapping[str, NDArray[np.generic]], inputs: Value, outputs: Value) -> bytes:
    """Return a serialized ONNX model of one graph.

    Args:
        nodes: The nodes, each made by `node`, in an order in which they can run.
        constants: The values of the constants by name.
        inputs: The only input of the graph.
        outputs: The only output of the graph.
    """
    graph = [
        *(_message(1, each) for each in nodes),
        _message(2, b"limits"),
        *(_message(5, _tensor(name, value)) for name, value in constants.items()),
        _message(11, _value_info(inputs)),
        _message(12, _value_info(outputs)),
    ]
    return _number(1, _IR_VERSION) + _message(7, b"".join(graph)) + _message(8, _number(2, _OPSET))


def node(kind: str, sources: Sequence[str], target: str, **attributes: Sequence[int]) -> bytes:
    """Return a node of operator ``kind``, which is named after its only output; attributes are lists of integers."""
    inputs = b"".join(_message(1, name.encode()) for name in sources)
    lists = b"".join(_message(5, _integers(name, values)) for name, values in attributes.items())
    return inputs + _message(2, target.encode()) + _message(3, target.encode()) + _message(4, kind.encode()) + lists


def _integers(name: str, values: Sequence[int]) -> bytes:
    return _message(1, name.encode()) + b"".join(_number(8, value) for value in values) + _number(20, _INTS)


def _tensor(name: str, value: NDArray[np.generic]) -> bytes:
    dimensions = b"".join(_number(1, size) for size in value.shape)
    return dimensions + _number(2, _TYPES[value.dtype.name]) + _message(8, name.encode()) + _message(9, value.tobytes())


def _value_info(value: Value) -> bytes:
    dimensions = b"".join(_message(1, _number(1, size)) for size in value.shape)
    tensor_type = _number(1, _TYPES[value.dtype]) + _message(2, dimensions)
    return _message(1, value.name.encode()) + _message(2, _message(1, tensor_type))


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
