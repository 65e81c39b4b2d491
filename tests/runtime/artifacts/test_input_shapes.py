"""The shapes that a model takes are the ends and the middle of its ranges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.artifacts.manifest import InputSpec, Range

SIZES = st.integers(1, 40)


@given(batch=SIZES, rows=SIZES, columns=SIZES)
def test_a_fixed_size_is_least_usual_and_most_in_one(batch: int, rows: int, columns: int) -> None:
    spec = InputSpec(height=32 * rows, width=32 * columns, batch=batch)
    assert set(spec.shapes()) == {(batch, 32 * rows, 32 * columns)}


@given(ranges=st.lists(st.lists(SIZES, min_size=3, max_size=3).map(sorted), min_size=3, max_size=3))
def test_ranges_become_the_profile(ranges: list[list[int]]) -> None:
    batches, heights, widths = (Range(*numbers) for numbers in ranges)
    spec = InputSpec(
        height=heights.usual,
        width=widths.usual,
        batch=batches.usual,
        dynamic_batch=batches,
        dynamic_height=heights,
        dynamic_width=widths,
    )
    assert spec.shapes() == tuple(tuple(numbers[i] for numbers in ranges) for i in range(3))
