"""Limits are those of the roofline model, and what binds a node follows from them and its time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.benchmark.measures import layers
from pem_edge.runtime.benchmark.measures.limits import roofline
from pem_edge.runtime.benchmark.measures.limits.compute import ComputeRates
from pem_edge.runtime.benchmark.measures.limits.node_work import NodeWork
from pem_edge.runtime.benchmark.measures.limits.roofline import MachineLimits
from pem_edge.runtime.inference.profiled_nodes import ProfiledNode, TensorType

LIMITS = MachineLimits(
    {"fp32": ComputeRates(convolution=1e9, matrix=5e8), "int8": ComputeRates(convolution=2e9, matrix=4e9)},
    [(1000, 1e9), (1_000_000, 1e8)],
)


def test_arithmetic_takes_the_time_of_its_precision() -> None:
    assert roofline.limit(NodeWork(2_000_000, 0, "fp32"), LIMITS).milliseconds == pytest.approx(2)
    assert roofline.limit(NodeWork(2_000_000, 0, "int8"), LIMITS).milliseconds == pytest.approx(0.5)


def test_no_precision_is_slower_than_single_precision() -> None:
    slow = MachineLimits({"fp32": ComputeRates(1e9, 5e8), "fp16": ComputeRates(1e8, 2e8)}, LIMITS.bandwidths)
    assert roofline.limit(NodeWork(2_000_000, 0, "fp16"), slow).milliseconds == pytest.approx(2)


@pytest.mark.parametrize(
    ("nbytes", "seconds"), [(0, 0), (5, 0.05), (10, 0.1), (20, 0.2), (21, 0.3), (40, 2.2), (41, 3.2), (140, 102.2)]
)
def test_as_many_bytes_as_a_cache_holds_take_its_time(nbytes: int, seconds: float) -> None:
    caches = MachineLimits({}, [(10, 100.0), (20, 10.0), (40, 1.0)])
    assert caches.memory_seconds(nbytes) == pytest.approx(seconds)


@given(st.lists(st.floats(1, 1e3), min_size=1, max_size=5), st.integers(0, 10**4), st.integers(0, 10**4))
def test_bytes_take_no_less_than_in_the_fastest_cache_and_no_more_than_in_memory(
    rates: list[float], nbytes: int, more: int
) -> None:
    limits = MachineLimits({}, [(1 << power, rate) for power, rate in enumerate(sorted(rates, reverse=True), 5)])
    seconds = limits.memory_seconds(nbytes)
    assert nbytes / max(rates) <= seconds * (1 + 1e-9)
    assert seconds <= nbytes / min(rates) * (1 + 1e-9)
    assert limits.memory_seconds(nbytes + more) >= seconds * (1 - 1e-9)


@pytest.mark.parametrize(
    ("macs", "nbytes", "milliseconds", "bound"),
    [
        (2_000_000, 1_000_000, 1.0, "compute"),
        (2_000_000, 1_000_000, 7.9, "compute"),
        (2_000_000, 1_000_000, 8.1, "overhead"),
        (1_000_000, 2_000_000, 12.0, "memory"),
        (1_000_000, 2_000_000, 43.9, "memory"),
        (1_000_000, 2_000_000, 44.1, "overhead"),
        (0, 0, 1.0, "overhead"),
    ],
)
def test_what_binds(macs: int, nbytes: int, milliseconds: float, bound: str) -> None:
    """In 2 and 1, or 1 and 11 milliseconds the machine computes and moves this."""
    assert roofline.limit(NodeWork(macs, nbytes, "fp32"), LIMITS).bound(milliseconds) == bound


def test_the_limit_of_all_is_the_sum_of_each() -> None:
    works = [NodeWork(2_000_000, 1_000_000, "fp32"), NodeWork(1_000_000, 2_000_000, "fp32")]
    assert roofline.least_milliseconds(works, LIMITS) == pytest.approx(2 + 11)


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
    assert found["copy"].fraction == pytest.approx(0.71)
    assert found["product"].limit == pytest.approx(1.0)
    assert [name for name, layer in found.items() if layer.doubt] == ["beaten"]
    assert profile.by_bound == {"memory": 100.0, "unknown": 3.0, "compute": 2.1, "overhead": 1.0}
    assert sum(profile.by_bound.values()) == pytest.approx(profile.total)
