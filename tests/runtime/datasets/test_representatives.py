"""The few images that are shown for all show every class that has a place among them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.datasets import representatives

SHOWN = st.lists(st.frozensets(st.integers(0, 7)), max_size=60)


@given(SHOWN, st.integers(1, 24))
def test_they_are_as_many_as_wanted_and_one_shows_the_most_classes(shown: list[frozenset[int]], most: int) -> None:
    chosen = representatives.choose(shown, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(len(shown), most)
    if shown:
        assert max(map(len, shown)) == max(len(shown[number]) for number in chosen)


@given(SHOWN, st.integers(8, 24))
def test_every_class_is_shown_if_there_are_no_more_than_places(shown: list[frozenset[int]], most: int) -> None:
    chosen = representatives.choose(shown, most)
    assert frozenset().union(*(shown[number] for number in chosen)) == frozenset().union(*shown)


def test_together_they_show_what_one_alone_does_not() -> None:
    assert representatives.choose([{1, 2, 3}, {1, 2, 3}, {4}, {1, 2}], 2) == [0, 2]
    assert representatives.choose([], 4) == []


def test_those_that_show_nothing_more_are_spread_evenly() -> None:
    assert representatives.choose([[0]] * 11, 4) == [0, 1, 5, 10]
