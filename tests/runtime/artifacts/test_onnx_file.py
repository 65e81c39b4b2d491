"""The metadata of an ONNX file is read as the onnx package reads it, and damage never crashes or hangs."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import onnx
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
