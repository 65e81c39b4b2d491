"""The metadata of an ONNX file is read as the onnx package reads it, and damage never crashes or hangs."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from pem_edge.runtime.artifacts import onnx_file


def metadata(path: Path) -> dict[str, str]:
    return onnx_file.metadata(memoryview(path.read_bytes()))


same_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@same_file
@given(st.dictionaries(st.text(), st.text()))
def test_any_pairs_come_back(tiny: Path, pairs: dict[str, str]) -> None:
    model = onnx.load(tiny)
    helper.set_model_props(model, pairs)
    onnx.save(model, tiny)
    assert metadata(tiny) == pairs


def test_long_values(tiny: Path) -> None:
    model = onnx.load(tiny)
    helper.set_model_props(model, {"long": "ü" * 100_000})
    onnx.save(model, tiny)
    assert metadata(tiny) == {"long": "ü" * 100_000}


def test_every_truncation_is_refused_or_only_loses_what_it_cut(tiny: Path) -> None:
    model = onnx.load(tiny)
    helper.set_model_props(model, {"key": "value"})
    whole = model.SerializeToString()
    refused = 0
    for length in range(len(whole)):
        tiny.write_bytes(whole[:length])
        try:
            assert metadata(tiny) in ({}, {"key": "value"})
        except ValueError:
            refused += 1
    assert refused > 0.9 * len(whole)


@same_file
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(tiny: Path, data: bytes) -> None:
    tiny.write_bytes(data)
    with suppress(ValueError):
        metadata(tiny)


def test_flipped_bytes_are_read_or_refused(tiny: Path) -> None:
    model = onnx.load(tiny)
    helper.set_model_props(model, {"key": "value"})
    whole = bytearray(model.SerializeToString())
    rng = random.Random(0)
    for _ in range(500):
        torn = bytearray(whole)
        torn[rng.randrange(len(torn))] = rng.randrange(256)
        tiny.write_bytes(torn)
        with suppress(ValueError):
            metadata(tiny)


def field(number: int, content: bytes, padding: int = 0) -> bytes:
    """Return a field of bytes; ``padding`` bytes make its length longer than it need be, with the same meaning."""
    return varint(number << 3 | 2) + varint(len(content), padding) + content


def varint(value: int, padding: int = 0) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F)
    digits += [0] * padding
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def branch(kind: int, graph: bytes) -> bytes:
    """Return a node with an attribute ``kind`` that holds ``graph``, as a field of a graph."""
    return field(1, field(5, field(kind, graph)))


ELSEWHERE = b"\x70\x01"  # TensorProto.data_location: EXTERNAL
LOCATION = field(13, field(1, b"location", padding=2) + field(2, b"/etc/passwd"))
PLACES = {
    "a weight": lambda tensor: field(7, field(5, tensor)),
    "a weight in a message of odd length": lambda tensor: field(7, field(5, tensor, padding=3), padding=1),
    "a sparse weight": lambda tensor: field(7, field(15, field(1, tensor))),
    "an attribute": lambda tensor: field(7, field(1, field(5, field(5, tensor)))),
    "attributes": lambda tensor: field(7, field(1, field(5, field(10, tensor)))),
    "a sparse attribute": lambda tensor: field(7, field(1, field(5, field(22, field(2, tensor))))),
    "a branch": lambda tensor: field(7, field(1, field(5, field(6, field(5, tensor))))),
    "a branch in branches": lambda tensor: field(
        7, field(1, field(5, field(11, field(1, field(5, field(6, field(5, tensor)))))))
    ),
    "a function": lambda tensor: field(25, field(7, field(5, field(5, tensor)))),
    "a function's default": lambda tensor: field(25, field(11, field(5, tensor))),
    "training": lambda tensor: field(20, field(1, field(5, tensor))),
    "a second graph": lambda tensor: field(7, b"") + field(7, field(5, tensor)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tensor", [ELSEWHERE, LOCATION, ELSEWHERE + LOCATION], ids=["flag", "path", "both"])
def test_values_in_other_files_are_found_wherever_a_tensor_can_be(place: str, tensor: bytes) -> None:
    model = PLACES[place](tensor)
    onnx.ModelProto.FromString(model)  # the onnx package takes it, too
    assert onnx_file.has_external_data(memoryview(model))
    assert not onnx_file.has_external_data(memoryview(PLACES[place](field(9, b"raw data"))))


def test_nesting_has_no_depth_that_it_cannot_follow() -> None:
    graph = field(5, ELSEWHERE)
    for _ in range(300):
        graph = branch(6, graph)
    assert onnx_file.has_external_data(memoryview(field(7, graph)))


def test_the_shape_of_the_input_is_read(tiny: Path) -> None:
    assert onnx_file.input_shape(memoryview(tiny.read_bytes()), "image") == (1, 64, 96, 3)
    assert onnx_file.input_shape(memoryview(tiny.read_bytes()), "picture") is None


def test_operators_are_found_in_branches_and_functions(tiny: Path) -> None:
    node = field(4, b"DeformConv")
    assert "DeformConv" not in onnx_file.operators(memoryview(tiny.read_bytes()))
    for model in (field(7, branch(6, field(1, node))), field(25, field(7, node))):
        assert onnx_file.operators(memoryview(model)) == {"DeformConv"}


def test_text_attributes_are_found_by_operator_and_name(tiny: Path) -> None:
    model = onnx.load(tiny)
    for kind, attributes in (("A", {"version": "2", "count": 3}), ("A", {}), ("B", {"version": "5"})):
        model.graph.node.append(helper.make_node(kind, ["x"], ["y"], **attributes))
    whole = memoryview(model.SerializeToString())
    assert onnx_file.attributes(whole, "A", "version") == ["2", ""]
    assert onnx_file.attributes(whole, "A", "count") == ["", ""]
    assert onnx_file.attributes(whole, "C", "version") == []
