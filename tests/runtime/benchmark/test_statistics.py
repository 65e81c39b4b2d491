"""Differences are called where there are some, and never where there is only noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.runtime.benchmark import statistics
from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.schema import Interval
from pem_edge.runtime.errors import InputError

LIMITS = NoiseLimits()
ROUNDS, TRIALS = 120, 20
positive = st.lists(st.floats(0.01, 1e5), min_size=2, max_size=40)


def machine(generator: np.random.Generator, rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Return what others' load and a drifting clock make of a time of 1: factors, one a round, that hang together."""
    drift = np.cumsum(generator.normal(0, 0.02, rounds))
    state = np.zeros(rounds)
    for index in range(1, rounds):
        state[index] = 0.8 * state[index - 1] + generator.normal(0, 0.1)
    busy = np.where(np.convolve(generator.random(rounds) < 0.05, np.ones(8))[:rounds] > 0, 1.8, 1.0)
    return np.asarray(np.exp(drift + state) * busy)


def turns(generator: np.random.Generator, rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Return what befalls a single turn: noise, and spikes in one of twenty."""
    spikes = np.where(generator.random(rounds) < 0.05, generator.uniform(1.5, 6, rounds), 1.0)
    return np.asarray(np.exp(generator.normal(0, 0.05, rounds)) * spikes)


def verdict_in_rounds(seed: int, slowdown: float) -> str:
    generator = np.random.default_rng(seed)
    shared = machine(generator)
    first, second = (20 * factor * shared * turns(generator) for factor in (1.0, slowdown))
    return statistics.verdict(statistics.ratio_in_rounds(second, first, LIMITS), LIMITS.floor)


def test_an_artifact_is_never_different_from_itself() -> None:
    assert [verdict_in_rounds(seed, 1.0) for seed in range(TRIALS)] == ["same"] * TRIALS


@pytest.mark.parametrize(("factor", "verdict"), [(1.1, "slower"), (1 / 1.1, "faster")])
def test_a_tenth_is_always_seen(factor: float, verdict: str) -> None:
    assert [verdict_in_rounds(seed, factor) for seed in range(TRIALS)] == [verdict] * TRIALS


def test_intervals_hold_the_truth_as_often_as_they_claim() -> None:
    limits = NoiseLimits(confidence=0.9)
    held = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        shared = machine(generator)
        ratio = statistics.ratio_in_rounds(shared * turns(generator), shared * turns(generator), limits)
        held += ratio.low <= 1 <= ratio.high
    assert 0.82 <= held / 100 <= 0.97


def runs(seed: int, slowdown: float, slower_machine: float) -> statistics.Change:
    """Return a run, and another with a machine that is as much slower, each with its reference work."""
    generator = np.random.default_rng(seed)
    times, reference_times = [], []
    for factor, pace in ((1.0, 1.0), (slowdown, slower_machine)):
        calm = np.exp(0.3 * np.log(machine(generator) / machine(generator)).clip(-0.2, 0.2)) * pace
        times.append(20 * factor * calm * turns(generator))
        reference_times.append(15 * calm * turns(generator))
    return statistics.compare(times[1], times[0], LIMITS, reference_times=(reference_times[1], reference_times[0]))


@pytest.mark.parametrize("pace", [1.0, 1.3, 0.8])
def test_a_slower_or_faster_machine_is_no_change_of_the_artifact(pace: float) -> None:
    assert [runs(seed, 1.0, pace).verdict for seed in range(TRIALS)] == ["same"] * TRIALS


def test_a_quarter_between_two_runs_is_seen() -> None:
    assert [runs(seed, 1.25, 1.0).verdict for seed in range(TRIALS)] == ["slower"] * TRIALS
    assert [runs(seed, 1 / 1.25, 1.0).verdict for seed in range(TRIALS)] == ["faster"] * TRIALS


def test_what_the_machine_did_is_reported() -> None:
    change = runs(0, 1.0, 1.3)
    assert change.machine is not None
    assert change.machine.low < 1.3 < change.machine.high
    assert change.floor > 0.3


@given(positive)
def test_figures_of_times(values: list[float]) -> None:
    found = statistics.times(values, LIMITS)
    assert found.values == tuple(values)
    assert found.samples == len(values)
    assert found.minimum <= found.p50 <= found.p90 <= found.p99 <= max(values)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.noisy == (found.cv > LIMITS.cv)


def test_times_that_vary_are_flagged() -> None:
    assert not statistics.times([10.0, 10.1, 9.9], LIMITS).noisy
    assert statistics.times([10.0, 15.0, 9.0], LIMITS).noisy
    assert statistics.times([10.0], LIMITS).cv == 0


@given(positive, st.floats(0.1, 10))
def test_a_constant_ratio_is_found_exactly(values: list[float], factor: float) -> None:
    ratio = statistics.ratio_in_rounds([factor * value for value in values], values, LIMITS)
    assert (ratio.low, ratio.estimate, ratio.high) == pytest.approx((factor, factor, factor))


@given(positive.flatmap(lambda first: st.tuples(st.just(first), st.permutations(first))))
def test_the_ratio_the_other_way_round_is_the_inverse(pair: tuple[list[float], list[float]]) -> None:
    there, back = (statistics.ratio_in_rounds(*order, LIMITS).estimate for order in (pair, pair[::-1]))
    assert there * back == pytest.approx(1)


def test_small_differences_do_not_count_however_certain() -> None:
    certain = Interval(estimate=1.02, low=1.019, high=1.021, confidence=0.99)
    assert statistics.verdict(certain, 0.03) == "same"
    assert statistics.verdict(certain, 0.01) == "slower"


@pytest.mark.parametrize("values", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_what_is_no_series_of_times(values: list[float]) -> None:
    with pytest.raises(InputError, match="times cannot be compared"):
        statistics.ratio_of_runs(values, [1.0, 2.0], LIMITS)
    with pytest.raises(InputError):
        statistics.ratio_in_rounds(values, [1.0, 2.0], LIMITS)
