"""A tensor's values, counted as they stream by: memory does not grow with the number of images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BINS = 4096
"""Number of bins on either side of zero. The reach is less than twice what is needed, so at least half are in use."""

_LEAST_REACH = 2.0**-60
_EXACT = 1 << 24
"""Number of values that OpenCV counts exactly: its counts are float32."""


class Histogram:
    """Counts of values in equal bins from ``-reach`` to ``reach``, a power of two, and their exact least and greatest.

    A value beyond reach doubles it as often as needed; bins then merge in pairs, which is exact, because zero stays a
    bin's edge. Bins hold their lower edge, not their upper one.
    """

    def __init__(self) -> None:
        self.reach = _LEAST_REACH
        self.counts: NDArray[np.int64] = np.zeros(2 * BINS, np.int64)
        self.least, self.greatest = np.inf, -np.inf

    def add(self, values: NDArray[np.floating]) -> None:
        """Count ``values``, all of them finite, of any shape."""
        if values.size == 0:
            return
        least, greatest = float(values.min()), float(values.max())
        self.least, self.greatest = min(self.least, least), max(self.greatest, greatest)
        while max(-least, greatest) >= self.reach:
            self._double()
        flat = values.astype(np.float32, copy=False).ravel()
        for start in range(0, flat.size, _EXACT):
            piece = flat[start : start + _EXACT]
            counted = cv2.calcHist([piece], [0], None, [2 * BINS], [-self.reach, self.reach])
            self.counts += counted.ravel().astype(np.int64)

    @property
    def total(self) -> int:
        """The number of values counted."""
        return int(self.counts.sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        """The ``2 * BINS + 1`` edges of the bins, ascending."""
        return np.linspace(-self.reach, self.reach, 2 * BINS + 1)

    def merged(self, other: Histogram) -> Histogram:
        """Return the histogram of both sets of values."""
        both = Histogram()
        both.reach = max(self.reach, other.reach)
        both.least, both.greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        both.counts = _widened(self.counts, both.reach / self.reach) + _widened(other.counts, both.reach / other.reach)
        return both

    def _double(self) -> None:
        self.counts = _widened(self.counts, 2)
        self.reach *= 2


def _widened(counts: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    """Return the counts for a reach ``factor`` times as far, a power of two."""
    while factor > 1:
        quarter = counts.size // 4
        merged = counts.reshape(-1, 2).sum(axis=1)
        counts = np.pad(merged, quarter)
        factor /= 2
    return counts
