"""Reading the metadata of an ONNX file without the onnx package.

Only the top level of the protocol buffer (https://protobuf.dev/programming-guides/encoding/) is read and the graph is
skipped, which is fast for large models.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pem_edge.runtime.errors import ArtifactError

_METADATA_PROPS = 14  # ModelProto.metadata_props, onnx.proto
_KEY, _VALUE = 1, 2  # StringStringEntryProto


def read(path: Path) -> dict[str, str]:
    """Return the key-value pairs of ``metadata_props``. Raises ArtifactError if the file is not an ONNX model."""
    try:
        with path.open("rb") as file:
            entries = _read_fields(file, path.stat().st_size, wanted={_METADATA_PROPS})
        pairs = [dict(_read_fields(BytesIO(entry), len(entry), wanted={_KEY, _VALUE})) for _, entry in entries]
        return {pair[_KEY].decode(): pair.get(_VALUE, b"").decode() for pair in pairs}
    except (EOFError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path} is truncated or no ONNX model: export it again") from error
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error


def _read_fields(stream: BinaryIO, size: int, wanted: set[int]) -> list[tuple[int, bytes]]:
    """Return the number and the content of the length-delimited fields whose numbers are ``wanted``."""
    found = []
    while stream.tell() < size:
        number, wire_type = divmod(_read_varint(stream), 8)
        if wire_type == 0:
            _read_varint(stream)
            continue
        length = {1: 8, 5: 4}.get(wire_type) or _read_length(stream, wire_type)
        if stream.tell() + length > size:
            raise EOFError("field runs past the end")
        if number in wanted:
            found.append((number, stream.read(length)))
        else:
            stream.seek(length, 1)
    return found


def _read_length(stream: BinaryIO, wire_type: int) -> int:
    if wire_type != 2:
        raise ValueError(f"wire type {wire_type}")
    return _read_varint(stream)


def _read_varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise EOFError("file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
    raise ValueError("number of more than ten bytes")
