"""Summarizes times, and decides whether a difference between them is more than noise.

Times of neighboring runs are not independent: machines drift, and other processes' load comes in bursts. The bootstrap
therefore resamples whole blocks of neighboring rounds (the circular block bootstrap of Politis and Romano, 1992), which
keep that dependence. Times within a round share the machine's state, so a round of all artifacts is resampled as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.options import NoiseLimits
from pem_edge.runtime.benchmark.schema import Interval, Times
from pem_edge.runtime.errors import InputError

_RESAMPLES = 4000
_TRIMMED = 0.2
"""Fraction of values dropped at either end before averaging, so that bursts of other processes' load weigh little."""


Values = Sequence[float] | NDArray[np.float64]
"""Milliseconds in the order they were measured."""


@dataclass(frozen=True)
class Change:
    """The change of a time between two runs: ``ratio`` is after over before, ``verdict`` is as in `Comparison`.

    ``machine`` is the ratio of the reference work's times, None if there is none. Differences up to ``floor`` (a
    fraction) never count.
    """

    ratio: Interval
    verdict: str
    floor: float
    machine: Interval | None = None


def times(values: Values, limits: NoiseLimits) -> Times:
    """Return the summary of ``values``: milliseconds, at least one."""
    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    cv = float(array.std(ddof=1)) / mean if len(array) > 1 and mean > 0 else 0.0
    p50, p90, p99 = (float(value) for value in np.percentile(array, (50, 90, 99)))
    return Times(
        p50=p50,
        p90=p90,
        p99=p99,
        mean=mean,
        minimum=float(array.min()),
        samples=len(array),
        cv=cv,
        noisy=cv > limits.cv,
        values=tuple(float(value) for value in array),
    )


def typical(values: Values) -> float:
    """Return the trimmed mean: that of the middle three fifths."""
    return float(_trimmed_mean(np.asarray(values, np.float64)[np.newaxis])[0])


def ratio_in_rounds(values: Values, baseline: Values, limits: NoiseLimits, seed: int = 0) -> Interval:
    """Return the ratio of ``values`` to ``baseline``: the trimmed mean of the ratios within each round.

    Whatever slows a whole round down cancels in its ratio; it would not in the ratio of two medians. Logarithms are
    averaged, so that swapping the two gives the inverse.

    Raises:
        InputError: If there are fewer than two rounds, the numbers of times differ, or a time is not positive.
    """
    if len(values) != len(baseline):
        raise InputError(f"there are {len(values)} and {len(baseline)} times, expected one of each per round")
    logarithms = np.log(_checked(values)) - np.log(_checked(baseline))
    drawn = logarithms[_blocks(len(logarithms), np.random.default_rng(seed))]
    return _interval(math.exp(typical(logarithms)), np.exp(_trimmed_mean(drawn)), limits)


def ratio_of_runs(after: Values, before: Values, limits: NoiseLimits, seed: int = 0) -> Interval:
    """Return the ratio of the trimmed means of two runs' times, each run resampled on its own.

    Raises:
        InputError: If a run has too few times.
    """
    generator = np.random.default_rng(seed)
    arrays = [_checked(values) for values in (after, before)]
    drawn = [_trimmed_mean(array[_blocks(len(array), generator)]) for array in arrays]
    return _interval(typical(after) / typical(before), drawn[0] / drawn[1], limits)


def compare(
    after: Values,
    before: Values,
    limits: NoiseLimits,
    *,
    reference_times: tuple[Values, Values] | None = None,
    seed: int = 0,
) -> Change:
    """Return the change of a time between two runs.

    ``reference_times`` are the times of the reference work, after and before; their change is the machine's. A time
    must have changed by that much more to count, in either direction, because different work slows down differently
    on a slower machine.

    Raises:
        InputError: If a run has too few times.
    """
    ratio = ratio_of_runs(after, before, limits, seed)
    machine = ratio_of_runs(*reference_times, limits, seed) if reference_times else None
    drift = abs(math.log(machine.estimate)) if machine else 0.0
    floor = (1 + limits.floor_of_runs) * math.exp(drift) - 1
    return Change(ratio, verdict(ratio, floor), floor, machine)


def verdict(ratio: Interval, floor: float) -> str:
    """Return "slower" or "faster" if the interval leaves out 1 and the estimate is beyond ``floor``, else "same"."""
    if ratio.low > 1 and ratio.estimate > 1 + floor:
        return "slower"
    if ratio.high < 1 and ratio.estimate < 1 / (1 + floor):
        return "faster"
    return "same"


def _checked(values: Values) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) < 2 or not (np.isfinite(array) & (array > 0)).all():
        raise InputError("times cannot be compared: expected at least two, all of them positive; measure again")
    return array


def _trimmed_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    count = rows.shape[1]
    cut = math.floor(_TRIMMED * count)
    return np.asarray(np.sort(rows, axis=1)[:, cut : count - cut].mean(axis=1))


def _blocks(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return numbers of rounds drawn in blocks, (resamples, count), the last round followed by the first."""
    length = max(1, math.isqrt(count))
    starts = generator.integers(0, count, (_RESAMPLES, -(-count // length), 1))
    return ((starts + np.arange(length)) % count).reshape(_RESAMPLES, -1)[:, :count]


def _interval(estimate: float, drawn: NDArray[np.float64], limits: NoiseLimits) -> Interval:
    tail = (1 - limits.confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(estimate=estimate, low=float(low), high=float(high), confidence=limits.confidence)
