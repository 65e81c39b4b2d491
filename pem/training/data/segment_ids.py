"""The distinct ids of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unique(ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the distinct ``ids`` of a map (H, W), sorted, and the position of each pixel's id among them, (H, W).

    This is ``numpy.unique`` with its inverse, which would sort all pixels. Equal ids come in long runs, so that it is
    enough to sort the runs.
    """
    flat = ids.ravel()
    starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
    distinct, positions = np.unique(flat[starts], return_inverse=True)
    lengths = np.diff(starts, append=flat.size)
    return distinct, positions.astype(np.int32).repeat(lengths).reshape(ids.shape)
