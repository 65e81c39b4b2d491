"""Copies things from one view into another (Ghiasi et al., "Simple Copy-Paste", CVPR 2021)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pem_edge.pem.training.data.views import NO_SEGMENT, View

_CHOSEN = 0.5
"""Probability that a thing is copied."""

_LEAST_VISIBLE = 0.05
"""Fraction of its pixels that a segment keeps; one that is covered further becomes void."""


def paste(view: View, other: View, things: Collection[int], random: Generator) -> View:
    """Return ``view`` with some of the things of ``other`` on top, where they are in ``other``.

    Args:
        view: The view below.
        other: A view of the same size. Crowds are no segments of a view, so none is copied.
        things: The classes that are things.
        random: The random generator, which chooses among the things.
    """
    chosen = np.isin(other.classes, list(things)) & (random.random(len(other.classes)) < _CHOSEN)
    covers = np.append(chosen, False)[other.segment_map]  # NO_SEGMENT is the last index
    image = np.where(covers[..., None], other.image, view.image)
    numbers = other.segment_map.astype(np.int32) + len(view.classes)
    segment_map = np.where(covers, numbers, view.segment_map)
    areas = np.concatenate([_areas(view.segment_map, len(view.classes)), _areas(other.segment_map, len(chosen))])
    kept = _areas(segment_map, len(areas)) >= _LEAST_VISIBLE * areas
    renumbered = np.append(np.where(kept, kept.cumsum() - 1, NO_SEGMENT), NO_SEGMENT).astype(np.int16)
    return View(image, renumbered[segment_map], np.concatenate([view.classes, other.classes])[kept])


def _areas(segment_map: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Return the number of pixels of each of ``count`` segments."""
    return np.bincount(segment_map.ravel() + 1, minlength=count + 1)[1:]
