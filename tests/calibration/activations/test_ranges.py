"""Each method finds from a histogram what brute force finds from the values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pem_edge.calibration.activations.histograms import BINS, Histogram
from pem_edge.calibration.activations.ranges import METHODS, PERCENTILE, Range, find
from pem_edge.runtime.artifacts.sections import RangeMethod

SEEDS = st.integers(0, 2**32 - 1)


def sample(seed: int, *, rectified: bool = False) -> NDArray[np.float32]:
    """Values as layers have them: bell-shaped, of any scale, with a heavy tail, perhaps after ReLU."""
    random = np.random.default_rng(seed)
    values = random.standard_t(4, 20_000) * 10.0 ** random.uniform(-3, 3)
    return np.asarray(np.maximum(values, 0) if rectified else values, np.float32)


def histogram_of(values: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def rounding_error(values: NDArray[np.float32], found: Range, *, symmetric: bool) -> float:
    step = found[1] / 127 if symmetric else (found[1] - found[0]) / 255
    return float(np.mean((np.round(np.clip(values.astype(np.float64), *found) / step) * step - values) ** 2))


@given(SEEDS, st.booleans())
def test_max_holds_every_value_and_no_more(seed: int, rectified: bool) -> None:
    values = sample(seed, rectified=rectified)
    assert find(histogram_of(values), "max", symmetric=False) == (min(values.min(), 0), values.max())
    magnitude = np.abs(values).max()
    assert find(histogram_of(values), "max", symmetric=True) == (-magnitude, magnitude)


@given(SEEDS)
def test_percentile_is_that_of_the_values_to_within_a_bin(seed: int) -> None:
    values = sample(seed)
    histogram = histogram_of(values)
    bin_width = histogram.reach / BINS
    low, high = find(histogram, "percentile", symmetric=True)
    expected = np.quantile(np.abs(values), PERCENTILE / 100, method="inverted_cdf")
    assert -low == high == pytest.approx(expected, abs=1.01 * bin_width)
    low, high = find(histogram, "percentile", symmetric=False)
    assert np.mean(values > high) <= 1 - PERCENTILE / 100 < np.mean(values >= high - 2 * bin_width)
    assert np.mean(values < low) <= 1 - PERCENTILE / 100 < np.mean(values <= low + 2 * bin_width)


@given(SEEDS, st.booleans(), st.booleans())
def test_mse_rounds_the_values_as_well_as_the_best_of_all_ranges(seed: int, symmetric: bool, rectified: bool) -> None:
    values = sample(seed, rectified=rectified)
    histogram = histogram_of(values)
    error = rounding_error(values, find(histogram, "mse", symmetric=symmetric), symmetric=symmetric)
    whole = find(histogram, "max", symmetric=symmetric)
    tried = [(whole[0] * share, whole[1] * share) for share in np.linspace(0.02, 1, 100)]
    best = min(rounding_error(values, each, symmetric=symmetric) for each in tried)
    assert error <= 1.1 * best


@settings(max_examples=12)
@given(SEEDS, st.booleans())
def test_entropy_is_least_where_brute_force_over_the_values_finds_it(seed: int, rectified: bool) -> None:
    values = sample(seed, rectified=rectified)
    histogram = histogram_of(values)
    whole = find(histogram, "max", symmetric=True)[1]
    found = find(histogram, "entropy", symmetric=True)[1]
    assert divergence(values, found, histogram.reach) <= 1.1 * min(
        divergence(values, whole * share, histogram.reach) for share in np.linspace(1 / 16, 1, 40)
    )


def divergence(values: NDArray[np.float32], limit: float, reach: float) -> float:
    """Kullback-Leibler, value by value: bins of the width that the histogram has, levels of the range's step."""
    width, step = reach / BINS, limit / 127
    last = int(limit / width - 0.5)
    bins = np.floor(values.astype(np.float64)[values != 0] / width).astype(int)
    edge = np.clip(bins, -last - 1, last)
    true = {int(b): int(n) for b, n in zip(*np.unique(edge, return_counts=True), strict=True)}
    inside = {int(b): int(n) for b, n in zip(*np.unique(bins[bins == edge], return_counts=True), strict=True)}
    levels: dict[int, list[int]] = {}
    for b in inside:
        levels.setdefault(round((b + 0.5) * width / step), []).append(b)
    spread = {b: sum(inside[m] for m in members) / len(members) for members in levels.values() for b in members}
    total, approximate = sum(true.values()), sum(spread.values())
    return float(
        sum(n / total * np.log(n / total / max(spread.get(b, 0) / approximate, 1e-9)) for b, n in true.items())
    )


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_every_range_holds_zero_and_more(method: RangeMethod, symmetric: bool) -> None:
    for values in ([0.0], [5.0] * 10, [-3.0, -2.0], [0.0] * 9999 + [1.0], [1e-30], []):
        low, high = find(histogram_of(np.array(values, np.float32)), method, symmetric=symmetric)
        assert low <= 0 <= high
        assert low < high
        assert (low == -high) if symmetric else low >= min(0, *values, 0)


def test_outliers_are_cut_off_by_every_method_but_max() -> None:
    values = np.append(np.random.default_rng(0).normal(size=1_000_000), 40).astype(np.float32)
    highs = {method: find(histogram_of(values), method, symmetric=True)[1] for method in METHODS}
    assert highs.pop("max") == 40
    assert all(2 < high < 10 for high in highs.values()), highs
