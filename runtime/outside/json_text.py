"""JSON as other programs write it: with byte order marks, in UTF-16, with NaN, with 1.0 where 1 is meant."""

from __future__ import annotations

import codecs
import json
from typing import Any, TypeVar

import msgspec

Content = TypeVar("Content")

_MARKS = (  # UTF-32 first: its mark in little-endian order begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def decode(data: bytes, kind: type[Content] | Any) -> Content:  # Any: mypy has no type for unions of types
    """Return a JSON document as ``kind``, a type that msgspec knows.

    Where strict JSON of that type fails, numbers such as 1.0 count as integers, and NaN and infinity as null.

    Raises:
        ValueError: If it is not JSON, or not of that type. Deeply nested JSON raises RecursionError.
    """
    text = _to_utf8(data)
    try:
        found: Content = msgspec.json.decode(text, type=kind)
        return found
    except msgspec.DecodeError as error:
        try:
            forgiving = json.loads(text, parse_float=_number, parse_constant=lambda _: None)
        except ValueError:
            raise ValueError(str(error)) from error
    try:
        return msgspec.convert(forgiving, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _to_utf8(data: bytes) -> bytes:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding).encode()
    return data


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value
