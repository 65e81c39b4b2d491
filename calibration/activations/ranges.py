"""Derives the range of INT8 values from a histogram, by one of four methods.

A range is ``(low, high)`` with ``low <= 0 <= high``, so that zero, with which convolutions pad, is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from pem_edge.calibration.activations.histograms import BINS, Histogram
from pem_edge.runtime.artifacts.sections import RangeMethod

METHODS: tuple[RangeMethod, ...] = get_args(RangeMethod)
METHOD: RangeMethod = "percentile"
"""The default method."""

Range = tuple[float, float]

PERCENTILE = 99.99
LEVELS = 256
_CANDIDATES = 128
"""Ranges that `mse` and `entropy` try, from `_NARROWEST` of the greatest magnitude up to all of it."""

_NARROWEST = 1 / 16


def find(histogram: Histogram, method: RangeMethod, *, symmetric: bool) -> Range:
    """Return the range of ``histogram`` by ``method``; ``symmetric`` ones have ``low == -high``.

    - ``max`` holds every value;
    - ``percentile`` leaves out the share of values that `PERCENTILE` says, farthest from zero on either side;
    - ``entropy`` loses least information (Kullback-Leibler divergence) between the values and their rounding, as in
      TensorRT (Migacz, "8-bit inference with TensorRT", GTC 2017);
    - ``mse`` has the least mean squared error of rounding and clipping.
    """
    low, high = min(0.0, histogram.least), max(0.0, histogram.greatest)
    if histogram.total == 0 or low == high:
        return (-1.0, 1.0) if symmetric else (0.0, 1.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    return _METHODS[method](histogram, (low, high), symmetric)


def _max(_histogram: Histogram, whole: Range, _symmetric: bool) -> Range:
    return whole


def _percentile(histogram: Histogram, whole: Range, symmetric: bool) -> Range:
    left_out = histogram.total * (1 - PERCENTILE / 100)
    if symmetric:
        magnitude = _quantile(_magnitudes(histogram), left_out, histogram.reach, whole[1])
        return -magnitude, magnitude
    low = _quantile(histogram.counts[:BINS][::-1], left_out, histogram.reach, -whole[0])
    high = _quantile(histogram.counts[BINS:], left_out, histogram.reach, whole[1])
    return _not_empty((-low, high), whole)


def _mse(histogram: Histogram, whole: Range, symmetric: bool) -> Range:
    return _best(lambda tried: _squared_error(histogram, tried, symmetric), whole)


def _entropy(histogram: Histogram, whole: Range, symmetric: bool) -> Range:
    return _best(lambda tried: _divergence(histogram, tried, symmetric), whole)


_METHODS: dict[RangeMethod, Callable[[Histogram, Range, bool], Range]] = {
    "max": _max,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}


def _magnitudes(histogram: Histogram) -> NDArray[np.int64]:
    return histogram.counts[BINS:] + histogram.counts[:BINS][::-1]


def _quantile(counts: NDArray[np.int64], left_out: float, reach: float, greatest: float) -> float:
    """Return the upper edge, at most ``greatest``, of the bin beyond which no more than ``left_out`` values lie."""
    beyond = counts[::-1].cumsum()[::-1]
    kept = int(np.count_nonzero(beyond > left_out))
    return min(kept * reach / BINS, greatest)


def _not_empty(found: Range, whole: Range) -> Range:
    """Return ``found``, or the whole range where all but a few values are zero."""
    return found if found[0] < found[1] else whole


def _best(loss: Callable[[Range], float], whole: Range) -> Range:
    """Return the part of ``whole`` of least ``loss``; of equals the widest."""
    shares = np.linspace(1, _NARROWEST, _CANDIDATES)
    tried = [(whole[0] * share, whole[1] * share) for share in shares]
    return min(tried, key=loss)


def _rounded(values: NDArray[np.float64], tried: Range, symmetric: bool) -> NDArray[np.float64]:
    """Return ``values`` after quantization to the range ``tried``; symmetry costs one level."""
    low, high = tried
    step = high / (LEVELS / 2 - 1) if symmetric else (high - low) / (LEVELS - 1)
    return np.asarray(np.round(values.clip(low, high) / step) * step)


def _centers(histogram: Histogram) -> NDArray[np.float64]:
    edges = histogram.edges
    return np.asarray((edges[:-1] + edges[1:]) / 2)


def _squared_error(histogram: Histogram, tried: Range, symmetric: bool) -> float:
    used = np.flatnonzero(histogram.counts)
    centers = _centers(histogram)[used]
    error = centers - _rounded(centers, tried, symmetric)
    return float(np.dot(histogram.counts[used], error * error))


def _divergence(histogram: Histogram, tried: Range, symmetric: bool) -> float:
    """Return the divergence between the values clipped to ``tried`` and the same values quantized.

    The count of each level is spread over its bins. What is clipped is counted in the outermost bins of the true
    distribution, not in its approximation. Zeros are left out: ReLU makes many, and every range has a level for them.
    """
    inside = (_centers(histogram) >= tried[0]) & (_centers(histogram) <= tried[1])
    used = np.flatnonzero(inside)
    if used.size == 0:
        return np.inf
    counts = histogram.counts.astype(np.float64)
    counts[BINS] = min(counts[BINS], counts[BINS + 1])
    kept = counts[used]
    true = kept.copy()
    true[0] += counts[: used[0]].sum()
    true[-1] += counts[used[-1] + 1 :].sum()
    return _kullback_leibler(true, _spread(kept, _rounded(_centers(histogram)[used], tried, symmetric)))


def _spread(counts: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the counts of each level, spread evenly over those of its bins that are not empty."""
    level = np.cumsum(np.diff(levels, prepend=levels[0]) > 0)
    filled = counts > 0
    sums, bins = np.bincount(level, counts), np.bincount(level, filled)
    return np.asarray(np.where(filled, (sums / np.maximum(bins, 1))[level], 0.0))


def _kullback_leibler(true: NDArray[np.float64], approximate: NDArray[np.float64]) -> float:
    """Return the divergence in nats; where ``approximate`` is zero, a small share stands for it."""
    p, q = true / true.sum(), approximate / max(approximate.sum(), 1.0)
    filled = p > 0
    return float(np.sum(p[filled] * np.log(p[filled] / np.maximum(q[filled], 1e-9))))
