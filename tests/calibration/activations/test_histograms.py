"""Histograms count every value exactly once, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pem_edge.calibration.activations.histograms import BINS, Histogram

Values = NDArray[np.float32]
BATCHES = st.lists(
    arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e4, 1e4, width=32)), min_size=1, max_size=5
)


def of(*batches: Values) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(BATCHES)
def test_streaming_counts_what_numpy_counts_at_once(batches: list[Values]) -> None:
    histogram, values = of(*batches), np.concatenate(batches)
    assert (histogram.minimum, histogram.maximum) == (values.min(), values.max())
    assert histogram.total == values.size
    expected = np.histogram(values.astype(np.float64), histogram.edges)[0]
    # A value at an edge may be rounded to the bin beside it, so counts up to each edge are compared one bin apart.
    ours, numpys = histogram.counts.cumsum(), expected.cumsum()
    assert np.all(ours[1:] >= numpys[:-1])
    assert np.all(numpys[1:] >= ours[:-1])


@given(BATCHES)
def test_the_reach_is_no_more_than_twice_what_is_needed(batches: list[Values]) -> None:
    histogram = of(*batches)
    magnitude = max(-histogram.minimum, histogram.maximum)
    assert magnitude < histogram.reach
    assert histogram.reach <= max(2 * magnitude, 2.0**-60)


@given(BATCHES, BATCHES)
def test_merging_is_counting_both(first: list[Values], second: list[Values]) -> None:
    merged, both = of(*first).merge(of(*second)), of(*first, *second)
    assert (merged.reach, merged.minimum, merged.maximum) == (both.reach, both.minimum, both.maximum)
    assert np.array_equal(merged.counts, both.counts)


def test_memory_does_not_grow_with_what_is_counted() -> None:
    histogram = Histogram()
    for number in range(50):
        histogram.add(np.full(1000, 2.0**number, np.float32))
    assert histogram.counts.nbytes == 2 * BINS * 8
    assert histogram.total == 50_000


def test_nothing_is_counted_of_an_empty_tensor() -> None:
    assert of(np.zeros(0, np.float32)).total == 0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_zero_is_counted_above_the_middle_edge(kind: type[np.floating]) -> None:
    histogram = of(np.zeros(3, kind), np.array([-1, 1], kind))
    assert histogram.counts[BINS] == 3


def test_more_values_than_float32_counts_are_counted_exactly() -> None:
    assert of(np.full((1 << 24) + 3, 0.5, np.float32)).total == (1 << 24) + 3
