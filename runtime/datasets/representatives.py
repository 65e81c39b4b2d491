"""Choosing the few images of a dataset that are shown for all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


def choose(present: Sequence[Collection[int]], most: int) -> list[int]:
    """Return the numbers of at most ``most`` images, ascending, that together show many classes.

    Each is the one that shows most of the classes that none before it shows; the remaining ones are spread evenly.

    Args:
        present: The classes that each image shows.
        most: The number of images to choose, if there are as many.
    """
    if len(present) <= most:
        return list(range(len(present)))
    chosen: list[int] = []
    wanted = set[int]().union(*present)
    while wanted and len(chosen) < most:
        chosen.append(max(range(len(present)), key=lambda number: len(wanted.intersection(present[number]))))
        wanted.difference_update(present[chosen[-1]])
    rest = np.setdiff1d(np.arange(len(present)), chosen)
    places = np.linspace(0, len(rest) - 1, most - len(chosen)).astype(int)
    return sorted([*chosen, *rest[places].tolist()])
