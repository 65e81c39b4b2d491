"""Reads what an ONNX file says about itself, without the onnx package.

The protocol buffer (https://protobuf.dev/programming-guides/encoding/) is followed as far as needed, and never copied:
tensors are skipped, however large. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

METADATA_PROPS, GRAPH = 14, 7  # of ModelProto
_GRAPH_INPUT = 11
_NODE = 1  # of GraphProto
_OP_TYPE, _ATTRIBUTE = 4, 5  # of NodeProto
_NAME, _TEXT = 1, 4  # of AttributeProto
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_LONGEST_VARINT = 10

_CHILDREN = {
    "model": {GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""The fields that hold messages in which tensors may be, by kind of message and number."""


class Field(NamedTuple):
    """A field of a message: a number, or the bytes of text or of another message."""

    number: int
    value: int | memoryview


def metadata(model: memoryview) -> dict[str, str]:
    """Return the key-value pairs of ``metadata_props``. Raises ValueError if ``model`` is no protocol buffer."""
    pairs = [dict(fields(entry)) for entry in _inside(model, METADATA_PROPS)]
    return {_text(pair[1]): _text(pair.get(2, memoryview(b""))) for pair in pairs if 1 in pair}


def input_shape(model: memoryview, name: str) -> tuple[int | None, ...] | None:
    """Return the shape of an input of the graph; None for sizes that vary, and if there is no such input or shape.

    Raises:
        ValueError: If ``model`` is no protocol buffer.
    """
    for graph in _inside(model, GRAPH):
        for entry in _inside(graph, _GRAPH_INPUT):
            if [_text(value) for number, value in fields(entry) if number == 1] == [name]:
                dimensions = list(_inside(entry, 2, 1, 2, 1))  # type, tensor_type, shape, dim
                sizes = [dict(fields(each)).get(1) for each in dimensions]
                return tuple(size if isinstance(size, int) else None for size in sizes) or None
    return None


def has_external_data(model: memoryview) -> bool:
    """Return whether any tensor says that its values are in another file.

    Tensors are looked for wherever they may be: among weights, attributes, and nested graphs and functions.

    Raises:
        ValueError: If ``model`` is no protocol buffer.
    """
    return any(
        field.number == _EXTERNAL_DATA or (field.number == _DATA_LOCATION and field.value != 0)
        for kind, field in _all_fields(model)
        if kind == "tensor"
    )


def operators(model: memoryview) -> set[str]:
    """Return the operators of all nodes. Raises ValueError if ``model`` is no protocol buffer."""
    return {_text(field.value) for kind, field in _all_fields(model) if kind == "node" and field.number == _OP_TYPE}


def attributes(model: memoryview, operator: str, name: str) -> list[str]:
    """Return a text attribute of each node of an operator in the graph itself; "" for nodes that lack it.

    Raises:
        ValueError: If ``model`` is no protocol buffer.
    """
    nodes = (node for graph in _inside(model, GRAPH) for node in _inside(graph, _NODE))
    return [
        next((text for key, text in _attributes(node) if key == name), "")
        for node in nodes
        if [_text(value) for number, value in fields(node) if number == _OP_TYPE] == [operator]
    ]


def _attributes(node: memoryview) -> Iterator[tuple[str, str]]:
    for attribute in _inside(node, _ATTRIBUTE):
        found = dict(fields(attribute))
        if _NAME in found and _TEXT in found:
            yield _text(found[_NAME]), _text(found[_TEXT])


def _all_fields(model: memoryview) -> Iterator[tuple[str, Field]]:
    """Yield the fields of the messages in `_CHILDREN`, however deep, each with the kind of its message."""
    pending = [("model", model)]
    while pending:
        kind, message = pending.pop()
        for field in fields(message):
            yield kind, field
            if field.number in _CHILDREN[kind] and isinstance(field.value, memoryview):
                pending.append((_CHILDREN[kind][field.number], field.value))


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message. Raises ValueError if it is damaged."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield Field(number, value)
            continue
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"has a field of wire type {wire_type}")
        if length > len(message) - position:
            raise ValueError("has a field that runs past the end")
        yield Field(number, message[position : position + length])
        position += length


def _inside(message: memoryview, number: int, *path: int) -> Iterator[memoryview]:
    """Yield the messages in the fields ``number`` of ``message``, or those further in, along ``path``."""
    for found, value in fields(message):
        if found == number and isinstance(value, memoryview):
            if path:
                yield from _inside(value, *path)
            else:
                yield value


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("has a number in place of text")
    return bytes(value).decode()


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number at ``position``, and the position behind it."""
    value = 0
    for shift, byte in enumerate(message[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return value, position + shift + 1
    raise ValueError("has a number without an end")
