"""Limits are those of the roofline model, and what binds a node follows from them and its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.benchmark.measures import layers
from pem_edge.runtime.benchmark.measures.limits import roofline
from pem_edge.runtime.benchmark.measures.limits.node_work import NodeWork
from pem_edge.runtime.benchmark.measures.limits.roofline import LEAST_FRACTION, MachineLimits
from pem_edge.runtime.inference.profiled_nodes import ProfiledNode, TensorType

LIMITS = MachineLimits({"fp32": 1e9, "int8": 4e9}, [(1000, 1e9), (1_000_000, 1e8)])
WORKS = st.builds(
    NodeWork, macs=st.integers(0, 10**9), nbytes=st.integers(0, 10**7), precision=st.sampled_from(["fp32", "int8"])
)


def test_arithmetic_takes_the_time_of_its_precision() -> None:
    assert roofline.limit(NodeWork(2_000_000, 0, "fp32"), LIMITS).milliseconds == pytest.approx(2)
    assert roofline.limit(NodeWork(2_000_000, 0, "int8"), LIMITS).milliseconds == pytest.approx(0.5)


@pytest.mark.parametrize(("nbytes", "rate"), [(10, 1e9), (1000, 1e9), (999_999, 1e9), (1_000_000, 1e8), (10**9, 1e8)])
def test_bytes_take_the_time_of_the_cache_that_holds_them(nbytes: int, rate: float) -> None:
    assert roofline.limit(NodeWork(0, nbytes, "fp32"), LIMITS).memory == pytest.approx(1000 * nbytes / rate)


@given(WORKS, st.floats(1e-6, 1e6))
def test_what_binds(work: NodeWork, milliseconds: float) -> None:
    limit = roofline.limit(work, LIMITS)
    bound = limit.bound(milliseconds)
    assert (bound == "overhead") == (max(limit.compute, limit.memory) < LEAST_FRACTION * milliseconds)
    assert bound != "compute" or limit.compute >= limit.memory
    assert bound != "memory" or limit.memory > limit.compute


@given(st.lists(WORKS))
def test_the_limit_of_all_is_their_sum(works: list[NodeWork]) -> None:
    expected = sum(max(roofline.limit(work, LIMITS).compute, roofline.limit(work, LIMITS).memory) for work in works)
    assert roofline.least_milliseconds(works, LIMITS) == pytest.approx(expected)


def test_more_than_the_limit_comes_with_a_reason() -> None:
    assert roofline.doubt(1.0) is None
    assert "Winograd" in (roofline.doubt(1.01) or "")


def test_layers_say_what_binds_them() -> None:
    small, large = TensorType("float32", (100, 100)), TensorType("float32", (1000, 1000))
    nodes = [
        ProfiledNode("copy", "Relu", 100.0, (large,), (large,)),
        ProfiledNode("product", "MatMul", 2.0, (small, small), (small,)),
        ProfiledNode("tiny", "Relu", 1.0, (small,), (small,)),
        ProfiledNode("beaten", "MatMul", 0.1, (small, small), (small,)),
        ProfiledNode("opaque", "Custom", 3.0),
    ]
    profile = layers.summary(nodes, LIMITS)
    found = {layer.name: layer for layer in profile.layers}
    assert {name: layer.bound for name, layer in found.items()} == {
        "copy": "memory",
        "product": "compute",
        "tiny": "overhead",
        "beaten": "compute",
        "opaque": None,
    }
    assert found["copy"].fraction == pytest.approx(8_000_000 / 1e8 / 0.1)
    assert found["product"].limit == pytest.approx(1.0)
    assert [name for name, layer in found.items() if layer.doubt] == ["beaten"]
    assert profile.by_bound == {"memory": 100.0, "unknown": 3.0, "compute": 2.1, "overhead": 1.0}
    assert sum(profile.by_bound.values()) == pytest.approx(profile.total)
