"""JSON of other tools is read as long as its content is clear; everything else is one line with the file's name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside import foreign_json


class Shelf(msgspec.Struct):
    name: str
    width: int = 0


def decode(data: bytes) -> Shelf:
    return foreign_json.decode(data, Shelf, "shelf.json", InputError, expected="a shelf", cure="build another one")


TEXT = '{"name": "Bücher 日本", "width": 3, "unread": [1.5, null]}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_every_encoding_of_unicode_is_read_with_and_without_its_mark(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == Shelf("Bücher 日本", 3)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-0", "123456789012345678901"])
def test_numbers_nobody_reads_may_be_anything(number: str) -> None:
    assert decode(TEXT.replace("1.5", number).encode()) == Shelf("Bücher 日本", 3)
    assert decode(TEXT.replace("1.5", number).encode("utf-16")) == Shelf("Bücher 日本", 3)


def test_nan_in_a_field_that_is_read_counts_as_null() -> None:
    refused(TEXT.replace("3", "NaN").encode(), r"Expected `int`, got `null` - at `\$\.width`")


DAMAGED = {
    "empty": (b"", "Expecting value"),
    "cut off": (TEXT.encode()[:30], "JSONDecodeError"),
    "cut off in UTF-16": (TEXT.encode("utf-16")[:31], "damaged"),
    "more after it": (TEXT.encode() + b"\0", "Extra data"),
    "Latin-1": (TEXT.replace("日本", "").encode("latin-1"), "'utf-8' codec can't decode byte 0xfc"),
    "half a surrogate pair": (rb'{"name": "\ud800"}', "surrogates not allowed"),
    "nested too deeply": (b'{"name": "a", "unread": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "nested too deeply without an end": (b'{"a":' * 100_000, "nested too deeply|Expecting"),
    "a number of too many digits": (b'{"name": "a", "width": ' + b"9" * 5000 + b"}", "out of range"),
    "another type": (b'{"name": ["a"]}', r"Expected `str`, got `array` - at `\$\.name`"),
    "a list": (b"[]", "Expected `object`, got `array`"),
    "nothing of it": (b"{}", "missing required field `name`"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_cannot_be_read_is_one_line(kind: str) -> None:
    refused(*DAMAGED[kind])


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    message = "shelf.json"
    try:
        decode(data)
    except InputError as error:
        message = str(error)
    assert "shelf.json" in message
    assert "\n" not in message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(JSON, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.booleans())
def test_whatever_python_writes_beside_it_changes_nothing(unread: Any, encoding: str, ascii_only: bool) -> None:
    text = json.dumps({"unread": unread, "name": "ä", "width": 7}, ensure_ascii=ascii_only)
    assert decode(text.encode(encoding)) == Shelf("ä", 7)


def refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        decode(data)
    text = str(caught.value)
    assert text.startswith("shelf.json ")
    assert text.endswith(": build another one")
    assert "\n" not in text
    assert len(text) < 300
