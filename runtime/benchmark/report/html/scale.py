"""Linear chart axes: maps values to positions and chooses tick marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Scale:
    """A linear axis from ``low`` to ``high``, where ``low`` < ``high``; ``whole`` if its values are counts."""

    low: float
    high: float
    whole: bool = False

    def position(self, value: float) -> float:
        """Return the position of ``value`` on the axis, 0 (low) to 1 (high); values outside it go to the nearer end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def percent(self, value: float) -> str:
        """Return the position of ``value`` as a percentage, for SVG."""
        return f"{100 * self.position(value):.2f}%"

    def percent_down(self, value: float) -> str:
        """Return the position of ``value`` on an axis that points up as a percentage from the top, for SVG."""
        return f"{100 * (1 - self.position(value)):.2f}%"

    def ticks(self, count: int = 5) -> list[float]:
        """Return evenly spaced round values within the axis, in about ``count`` intervals."""
        step = _step(max((self.high - self.low) / count, 1.0 if self.whole else 0.0))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def around(values: Sequence[float], min_length: float) -> Scale:
    """Return an axis around ``values``, with a margin; it is at least ``min_length`` (> 0) long."""
    low, high = min(values), max(values)
    margin = max(0.06 * (high - low), (min_length - (high - low)) / 2)
    return Scale(low - margin, high + margin)


def from_zero(high: float) -> Scale:
    """Return an axis from 0 to ``high``, with a margin."""
    return Scale(0.0, 1.04 * high if high > 0 else 1.0)


def label(value: float) -> str:
    """Return the text of a tick mark."""
    return f"{value:.6g}"


def _step(minimum: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least ``minimum``."""
    base: float = 10.0 ** math.floor(math.log10(minimum))
    return next(base * step for step in _STEPS if base * step >= minimum * (1 - 1e-9))
