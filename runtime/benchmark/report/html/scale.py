"""From figures to places on a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Scale:
    """A linear axis from ``low`` to ``high``, ``low`` < ``high``."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where ``value`` is: 0 at the low end, 1 at the high end, what lies outside at the nearer one."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def percent(self, value: float) -> str:
        """Return the same, for SVG."""
        return f"{100 * self.share(value):.2f}%"

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers from end to end, ``most`` at most."""
        step = _step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def around(values: Sequence[float], least: float) -> Scale:
    """Return an axis that holds ``values`` with some room, at least ``least`` (> 0) long."""
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), (least - (high - low)) / 2)
    return Scale(low - room, high + room)


def from_zero(high: float) -> Scale:
    """Return an axis from 0."""
    return Scale(0.0, 1.04 * high if high > 0 else 1.0)


def label(value: float) -> str:
    """Return a tick's text."""
    return f"{value:.6g}"


def _step(least: float) -> float:
    base: float = 10.0 ** math.floor(math.log10(least))
    return next(base * step for step in _STEPS if base * step >= least * (1 - 1e-9))
