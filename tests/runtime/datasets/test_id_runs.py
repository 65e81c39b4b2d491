"""Distinct ids are those that NumPy finds by sorting all pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pem_edge.runtime.datasets.id_runs import Runs, unique

EXTREMES = np.iinfo(np.int32)
IDS = arrays.arrays(
    np.int32,
    arrays.array_shapes(min_dims=2, max_dims=2),
    elements=st.sampled_from([0, 1, 2, EXTREMES.min, EXTREMES.max]),
)


@given(IDS)
def test_distinct_ids_are_those_of_numpy(ids: NDArray[np.int32]) -> None:
    distinct, positions = unique(ids)
    assert np.array_equal(distinct, np.unique(ids))
    assert np.array_equal(distinct[positions], ids)


@given(IDS)
def test_runs_are_as_long_as_they_can_be_and_make_up_the_map(ids: NDArray[np.int32]) -> None:
    runs = Runs(ids)
    numbers = runs.ids[runs.positions]
    assert np.array_equal(numbers.repeat(runs.lengths), ids.ravel())
    assert np.array_equal(runs.starts, np.cumsum(runs.lengths) - runs.lengths)
    assert (numbers[1:] != numbers[:-1]).all()


def test_a_map_without_pixels_has_no_runs() -> None:
    assert unique(np.zeros((0, 4), np.int32))[1].shape == (0, 4)
    assert Runs(np.zeros((0, 4), np.int32)).ids.size == 0
