"""Attributes of a graph or an engine file are read, and wrong ones give a message of one line, never a crash."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.host_cuda.plugin.host_library import Attributes, Field, FieldType

LENGTHS = {"kernel_shape": 2, "strides": 2, "pads": 4, "dilations": 2, "group": 1, "offset_group": 1, "relu": 1}
DEFAULTS: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "group": 1,
    "offset_group": 1,
    "relu": 0,
}
Values = dict[str, tuple[int, ...]]


def read(host: ctypes.CDLL, values: Values, kind: FieldType = FieldType.INT32) -> tuple[dict[str, Any], str]:
    """Return the attributes that were read, and the message."""
    dtype = np.int64 if kind is FieldType.INT64 else np.int32
    arrays = {name: np.array(value, dtype) for name, value in values.items()}
    fields = (Field * len(values))(
        *(Field(name.encode(), array.ctypes.data, kind, array.size) for name, array in arrays.items())
    )
    return read_raw(host, fields)


def read_raw(host: ctypes.CDLL, fields: Any) -> tuple[dict[str, Any], str]:
    attributes, message = Attributes(), ctypes.create_string_buffer(1024)
    host.read(fields, len(fields), ctypes.byref(attributes), message)
    for array in fields:
        array.data = None  # the attributes must not point there
    return attributes.as_dict(), message.value.decode()


@st.composite
def valid(draw: st.DrawFn) -> Values:
    limits = {"pads": (0, 2**15), "relu": (0, 1)}
    values = {
        name: tuple(draw(st.integers(*limits.get(name, (1, 2**15)))) for _ in range(length))
        for name, length in LENGTHS.items()
    }
    left_out = draw(st.sets(st.sampled_from(list(DEFAULTS))))
    return {name: value for name, value in values.items() if name not in left_out}


def expected(values: Values) -> dict[str, Any]:
    given_values = {name: value if LENGTHS[name] > 1 else value[0] for name, value in values.items()}
    return {**DEFAULTS, **given_values}


def attributes_of(values: Values) -> Attributes:
    every = expected(values)
    return Attributes(*((ctypes.c_int32 * LENGTHS[n])(*every[n]) if LENGTHS[n] > 1 else every[n] for n in LENGTHS))


@given(values=valid(), kind=st.sampled_from([FieldType.INT32, FieldType.INT64]))
def test_what_the_parser_gives_is_read(host: ctypes.CDLL, values: Values, kind: FieldType) -> None:
    assert read(host, values, kind) == (expected(values), "")


@given(values=valid())
def test_attributes_survive_an_engine_file(host: ctypes.CDLL, values: Values) -> None:
    before = attributes_of(values)
    after, message = Attributes(), ctypes.create_string_buffer(1024)
    host.reread(ctypes.byref(before), ctypes.byref(after), message)
    assert (after.as_dict(), message.value) == (expected(values), b"")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kernel_shape": (3,)}, "kernel_shape has 1 values, expected 2 integers from 1 to 32768"),
        ({"kernel_shape": (0, 3)}, "kernel_shape holds 0, expected 2 integers from 1 to 32768"),
        ({"pads": (1, 1)}, "pads has 2 values, expected 4 integers from 0 to 32768"),
        ({"pads": (1, 1, -1, 1)}, "pads holds -1, expected 4 integers from 0 to 32768"),
        ({"strides": (1, 0)}, "strides holds 0, expected 2 integers from 1 to 32768"),
        ({"dilations": (1, 32769)}, "dilations holds 32769, expected 2 integers from 1 to 32768"),
        ({"group": (0,)}, "group holds 0, expected 1 integer from 1 to 32768"),
        ({"offset_group": ()}, "offset_group has 0 values, expected 1 integer from 1 to 32768"),
        ({"relu": (2,)}, "relu holds 2, expected 1 integer from 0 to 1"),
        ({"stride": (1, 1)}, "unknown attribute stride, expected only kernel_shape, strides, pads, dilations, group, "),
    ],
)
def test_a_bad_attribute_is_one_line(host: ctypes.CDLL, change: Values, complaint: str) -> None:
    attributes, message = read(host, {"kernel_shape": (3, 3), **change})
    assert message.startswith(complaint)
    assert message.endswith(": export the model again")
    assert "\n" not in message
    assert attributes == Attributes().as_dict()


def test_values_beyond_32_bits_are_refused(host: ctypes.CDLL) -> None:
    _, message = read(host, {"kernel_shape": (3, 2**32 + 3)}, FieldType.INT64)
    assert message.startswith("kernel_shape holds 4294967299, expected")


def test_kernel_shape_must_be_there(host: ctypes.CDLL) -> None:
    assert read(host, {})[1].startswith("kernel_shape is missing, expected 2 integers")


def test_other_types_are_refused(host: ctypes.CDLL) -> None:
    _, message = read(host, {"kernel_shape": (3, 3)}, FieldType.OTHER)
    assert message.startswith("kernel_shape is not of type int32 or int64, expected 2 integers")


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (Field(None, None, FieldType.INT32, 0), "unknown attribute without a name"),
        (Field(b"pads", None, FieldType.INT32, 4), "pads has 0 values"),
    ],
)
def test_null_pointers_are_refused(host: ctypes.CDLL, field: Field, complaint: str) -> None:
    assert read_raw(host, (Field * 1)(field))[1].startswith(complaint)


def test_no_fields_at_all_are_refused(host: ctypes.CDLL) -> None:
    message = ctypes.create_string_buffer(1024)
    host.read(None, 3, ctypes.byref(Attributes()), message)
    assert message.value.startswith(b"no fields came, expected kernel_shape, strides,")


@given(one=valid(), other=valid())
def test_descriptions_tell_attributes_apart(host: ctypes.CDLL, one: Values, other: Values) -> None:
    """Check the text that TensorRT uses as the key of its timing cache."""

    def describe(values: Values) -> bytes:
        text = ctypes.create_string_buffer(1024)
        host.describe_attributes(ctypes.byref(attributes_of(values)), text)
        return text.value

    assert (describe(one) == describe(other)) == (expected(one) == expected(other))
