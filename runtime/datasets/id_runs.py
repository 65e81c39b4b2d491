"""The distinct ids of a map. Equal ones come in long runs, so that there are far fewer runs than pixels to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Runs:
    """The runs of equal ids in a map, int32 (H, W), row after row.

    Attributes:
        starts: The place of each run's first pixel, in pixels from the map's first.
        lengths: The pixels of each run.
        ids: The distinct ids, sorted.
        positions: The position of each run's id among ``ids``.
    """

    def __init__(self, panoptic: NDArray[np.int32]) -> None:
        flat = panoptic.ravel()
        self.starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1])[: flat.size])
        self.lengths = np.diff(self.starts, append=flat.size)
        self.ids, self.positions = np.unique(flat[self.starts], return_inverse=True)


def unique(ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the distinct ``ids`` of a map (H, W), sorted, and the position of each pixel's id among them, (H, W).

    This is ``numpy.unique`` with its inverse, which would sort all pixels.
    """
    runs = Runs(ids)
    return runs.ids, runs.positions.astype(np.int32).repeat(runs.lengths).reshape(ids.shape)
