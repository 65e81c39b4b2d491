"""Frames of any time find their place in a video."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.results.timeline import Timeline

RATES = st.sampled_from([1.0, 12.5, 15.998, 24000 / 1001, 25.0, 30000 / 1001, 59.94, 240.0])


@given(RATES, st.integers(1, 3000))
def test_an_even_rate_gives_every_frame_a_place_of_its_own(fps: float, count: int) -> None:
    """Also when timestamps are rounded to milliseconds."""
    timeline = Timeline(fps, 600)
    assert [round(fps * timeline.advance(round(index / fps, 3))) for index in range(count)] == list(range(count))


@given(RATES, st.lists(st.floats(0.001, 30), max_size=200), st.floats(0, 1e6))
def test_frames_keep_their_distance(fps: float, steps: list[float], start: float) -> None:
    timeline = Timeline(fps, 600)
    assert timeline.advance(start) == 0
    time = start
    for step in steps:
        time += step
        assert timeline.advance(time) == pytest.approx(time - start, abs=1e-6)


@given(RATES, st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=100))
def test_times_of_no_sense_never_go_back_nor_far(fps: float, times: list[float | None]) -> None:
    timeline = Timeline(fps, 600)
    places = [timeline.advance(time) for time in times]
    assert places[0] == 0
    for before, after in itertools.pairwise(places):
        assert before <= after <= before + 600
