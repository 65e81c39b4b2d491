"""The estimate grows with what was asked for, and says what it cannot know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pem_edge.runtime.benchmark import estimate
from pem_edge.runtime.benchmark.options import Options

OPTIONS = Options(rounds=10, most_rounds=10, scenarios=("offline",), scenario_seconds=30, cold_starts=0, memory=False)


@pytest.mark.parametrize(
    ("images", "options", "scored", "seconds"),
    [
        ([0.1], OPTIONS, 0, 20 * 0.1 + 2 * 30),
        ([0.1, 0.2], OPTIONS, 0, 20 * 0.3 + 4 * 30),
        ([0.1], OPTIONS, 50, 70 * 0.1 + 2 * 30),
        ([9.0], OPTIONS, 0, 20 * 9 + 2 * 20 * 9),
        ([0.1], replace(OPTIONS, scenarios=()), 0, 20 * 0.1 + 30),
    ],
)
def test_it_is_the_sum_of_the_parts(images: list[float], options: Options, scored: int, seconds: float) -> None:
    assert estimate.seconds(images, options, scored) == pytest.approx(seconds)
    assert estimate.seconds(images, replace(options, cold_starts=5), scored) > seconds
    assert estimate.seconds(images, replace(options, memory=True), scored) > seconds


def test_it_is_said_in_minutes() -> None:
    assert estimate.sentence([0.1], OPTIONS, 0) == "this takes about 2 minutes"
    assert estimate.sentence([0.1], replace(OPTIONS, scenario_seconds=1), 0) == "this takes about a minute"
    more = replace(OPTIONS, most_rounds=400)
    assert estimate.sentence([0.1], more, 0) == "this takes about 2 minutes", "one artifact has no differences"
    assert estimate.sentence([0.1, 0.1], more, 0) == (
        "this takes about 3 minutes, up to 5 more while differences are not clear"
    )
