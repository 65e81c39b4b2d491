"""Colors of classes that can be told apart, and shades of them for instances."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.results.drawing import oklab

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

SHADES = 12
"""Most shades of a class. Further instances take the first ones again."""

_APART = 0.05
"""Least distance of two classes in Oklab; half of it is left over a picture, which is what one just sees."""
_REACH = 0.15
"""Most distance of a shade from its class."""
_NEARER = 0.6
"""Most distance of a shade from its class, as a share of that from any other class."""
_STEPS = 22
"""Levels of a channel in the colors to choose from."""


@lru_cache(maxsize=16)
def distinct(wanted: tuple[Color, ...]) -> tuple[Color, ...]:
    """Return the color of each class: the wanted one, or the nearest free one if an earlier class has nearly that.

    Where there are too many classes for that, the last ones keep theirs.
    """
    lab = oklab.of(wanted)
    choices, choices_lab = _choices()
    kept: list[int] = []
    for index, color in enumerate(lab):
        if _distances(lab[kept], color).min(initial=np.inf) >= _APART:
            kept.append(index)
    free = np.ones(len(choices), bool)
    for index in kept:
        free &= _distances(choices_lab, lab[index]) >= _APART
    colors = list(wanted)
    for index in sorted(set(range(len(wanted))) - set(kept)):
        if not free.any():
            break
        nearest = int(np.where(free, _distances(choices_lab, lab[index]), np.inf).argmin())
        colors[index] = choices[nearest]
        free &= _distances(choices_lab, choices_lab[nearest]) >= _APART
    return tuple(colors)


@lru_cache(maxsize=1024)
def shades(classes: tuple[Color, ...], index: int) -> tuple[Color, ...]:
    """Return shades of the color of class ``index``: that color first, each next one as far from all before as can be.

    Args:
        classes: What `distinct` returned. All shades are nearer to their own class than to any other.
        index: The index of the class.
    """
    lab = oklab.of(classes)
    own = lab[index]
    choices, choices_lab = _choices()
    around = np.flatnonzero(_distances(choices_lab, own) < _REACH)
    others = lab[_distances(lab, own) < 3 * _REACH]
    for other in others[_distances(others, own) > 0]:
        own_distance, distance = _distances(choices_lab[around], own), _distances(choices_lab[around], other)
        around = around[own_distance < _NEARER * distance]
    found, gap = [classes[index]], _distances(choices_lab[around], own)
    while len(found) < SHADES and gap.max(initial=0.0) > 0:
        farthest = around[gap.argmax()]
        found.append(choices[farthest])
        gap = np.minimum(gap, _distances(choices_lab[around], choices_lab[farthest]))
    return tuple(found)


@lru_cache(maxsize=1)
def _choices() -> tuple[list[Color], NDArray[np.float64]]:
    """Return colors spread over all of sRGB, and the same in Oklab."""
    levels = np.linspace(0, 255, _STEPS).round().astype(int).tolist()
    colors = [(red, green, blue) for red in levels for green in levels for blue in levels]
    return colors, oklab.of(colors)


def _distances(colors: NDArray[np.float64], color: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each of ``colors`` (N, 3) is from ``color``, (N,)."""
    distances: NDArray[np.float64] = np.linalg.norm(colors - color, axis=1)
    return distances
