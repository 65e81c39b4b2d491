"""Derives the range of real values that INT8 covers from a tensor's histogram, by one of four methods.

A range is ``(low, high)`` with ``low <= 0 <= high``, so that zero, with which convolutions pad, is represented exactly.
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
"""Percentage of the values that the method ``percentile`` keeps on each side of zero, see `find`."""

LEVELS = 256
"""Number of INT8 values."""

_CANDIDATES = 128
"""Number of ranges that the methods ``mse`` and ``entropy`` try."""

_NARROWEST = 1 / 16
"""Width of the narrowest of these ranges, as a fraction of the widest, which holds every value."""


def find(histogram: Histogram, method: RangeMethod, *, symmetric: bool) -> Range:
    """Derive a range from a histogram.

    Args:
        histogram: The values of a tensor.
        method: The way to choose the range:

            - ``max`` includes every value;
            - ``percentile`` excludes 100 - `PERCENTILE` percent of the values, those farthest from zero, on each side,
              or on both sides together if ``symmetric``;
            - ``entropy`` minimizes the Kullback-Leibler divergence between the values and the quantized values, as
              TensorRT does (Migacz, "8-bit inference with TensorRT", GTC 2017);
            - ``mse`` minimizes the mean squared error of rounding and clipping.
        symmetric: Whether ``low`` must equal ``-high``.

    Returns:
        The range. If all values are zero, or if there are none, it ends at 1.
    """
    low, high = min(0.0, histogram.minimum), max(0.0, histogram.maximum)
    if histogram.total == 0 or low == high:
        return (-1.0, 1.0) if symmetric else (0.0, 1.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    return _METHODS[method](histogram, (low, high), symmetric)


def _max(_histogram: Histogram, whole: Range, _symmetric: bool) -> Range:
    return whole


def _percentile(histogram: Histogram, whole: Range, symmetric: bool) -> Range:
    excluded = histogram.total * (1 - PERCENTILE / 100)
    if symmetric:
        magnitude = _quantile(_magnitudes(histogram), excluded, histogram.reach, whole[1])
        return -magnitude, magnitude
    low = _quantile(histogram.counts[:BINS][::-1], excluded, histogram.reach, -whole[0])
    high = _quantile(histogram.counts[BINS:], excluded, histogram.reach, whole[1])
    return _replace_empty((-low, high), whole)


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


def _quantile(counts: NDArray[np.int64], excluded: float, reach: float, maximum: float) -> float:
    """Return the magnitude that at most ``excluded`` values exceed: a bin's upper edge, limited to ``maximum``.

    ``counts`` are those of the bins from zero outward.
    """
    beyond = counts[::-1].cumsum()[::-1]
    kept = int(np.count_nonzero(beyond > excluded))
    return min(kept * reach / BINS, maximum)


def _replace_empty(found: Range, whole: Range) -> Range:
    """Return ``found``, or ``whole`` if ``found`` is empty because nearly all values are zero."""
    return found if found[0] < found[1] else whole


def _best(loss: Callable[[Range], float], whole: Range) -> Range:
    """Return the candidate range within ``whole`` that has the minimum loss, the widest one if several do."""
    fractions = np.linspace(1, _NARROWEST, _CANDIDATES)
    tried = [(whole[0] * fraction, whole[1] * fraction) for fraction in fractions]
    return min(tried, key=loss)


def _quantize(values: NDArray[np.float64], tried: Range, symmetric: bool) -> NDArray[np.float64]:
    """Quantize ``values`` to the range ``tried`` and dequantize them. A symmetric range leaves one level unused."""
    low, high = tried
    step = high / (LEVELS / 2 - 1) if symmetric else (high - low) / (LEVELS - 1)
    return np.asarray(np.round(values.clip(low, high) / step) * step)


def _centers(histogram: Histogram) -> NDArray[np.float64]:
    edges = histogram.edges
    return np.asarray((edges[:-1] + edges[1:]) / 2)


def _squared_error(histogram: Histogram, tried: Range, symmetric: bool) -> float:
    used = np.flatnonzero(histogram.counts)
    centers = _centers(histogram)[used]
    error = centers - _quantize(centers, tried, symmetric)
    return float(np.dot(histogram.counts[used], error * error))


def _divergence(histogram: Histogram, tried: Range, symmetric: bool) -> float:
    """Return the Kullback-Leibler divergence between the values clipped to ``tried`` and the quantized values.

    The true distribution counts clipped values in its outermost bins; the approximation omits them, and spreads the
    count of each INT8 level over the bins of that level. The count of the bin at zero is limited to that of the next
    bin, because ReLU makes many zeros, which every range represents exactly.
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
    return _kullback_leibler(true, _spread(kept, _quantize(_centers(histogram)[used], tried, symmetric)))


def _spread(counts: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread the count of each INT8 level evenly over those of its bins that are not empty."""
    level = np.cumsum(np.diff(levels, prepend=levels[0]) > 0)
    filled = counts > 0
    sums, bins = np.bincount(level, counts), np.bincount(level, filled)
    return np.asarray(np.where(filled, (sums / np.maximum(bins, 1))[level], 0.0))


def _kullback_leibler(true: NDArray[np.float64], approximate: NDArray[np.float64]) -> float:
    """Return the divergence in nats; probabilities below 1e-9 in ``approximate`` are raised to 1e-9."""
    p, q = true / true.sum(), approximate / max(approximate.sum(), 1.0)
    filled = p > 0
    return float(np.sum(p[filled] * np.log(p[filled] / np.maximum(q[filled], 1e-9))))
