"""A histogram of a tensor's values that is filled image by image, in memory that does not grow."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BINS = 4096
"""Number of bins on each side of zero.

The reach is less than twice the greatest magnitude, so the values span at least half of the bins on one side.
"""

_MINIMUM_REACH = 2.0**-60
_CHUNK = 1 << 24
"""Number of values that OpenCV can count exactly in one call, because its counts are float32."""


class Histogram:
    """A histogram of equal bins from ``-reach`` to ``reach``, with the exact minimum and maximum.

    When a value lies outside, the reach, a power of two, is doubled until the value fits. Each doubling merges the bins
    in pairs, which loses no counts because zero remains an edge. A bin includes its lower edge and excludes its upper
    edge.

    Attributes:
        reach: The upper edge of the last bin.
        counts: The number of values in each bin, int64 (2 * BINS,).
        minimum: The smallest value, infinity while there is none.
        maximum: The largest value, minus infinity while there is none.
    """

    def __init__(self) -> None:
        self.reach = _MINIMUM_REACH
        self.counts: NDArray[np.int64] = np.zeros(2 * BINS, np.int64)
        self.minimum, self.maximum = np.inf, -np.inf

    def add(self, values: NDArray[np.floating]) -> None:
        """Add ``values``, an array of any shape, to the counts. All values must be finite."""
        if values.size == 0:
            return
        minimum, maximum = float(values.min()), float(values.max())
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        while max(-minimum, maximum) >= self.reach:
            self._double()
        flat = values.astype(np.float32, copy=False).ravel()
        for start in range(0, flat.size, _CHUNK):
            piece = flat[start : start + _CHUNK]
            counted = cv2.calcHist([piece], [0], None, [2 * BINS], [-self.reach, self.reach])
            self.counts += counted.ravel().astype(np.int64)

    @property
    def total(self) -> int:
        """The number of values counted."""
        return int(self.counts.sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        """The edges of the bins in ascending order, float64 (2 * BINS + 1,)."""
        return np.linspace(-self.reach, self.reach, 2 * BINS + 1)

    def merge(self, other: Histogram) -> Histogram:
        """Return the histogram of the values of both histograms together."""
        both = Histogram()
        both.reach = max(self.reach, other.reach)
        both.minimum, both.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        both.counts = _widen(self.counts, both.reach / self.reach) + _widen(other.counts, both.reach / other.reach)
        return both

    def _double(self) -> None:
        self.counts = _widen(self.counts, 2)
        self.reach *= 2


def _widen(counts: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    """Return the counts after the reach has grown by ``factor``, a power of two."""
    while factor > 1:
        quarter = counts.size // 4
        merged = counts.reshape(-1, 2).sum(axis=1)
        counts = np.pad(merged, quarter)
        factor /= 2
    return counts
