"""Beyond rounding: shifts of the mean, put back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lost_mean(lost: NDArray[np.floating], means: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Return what a convolution's outputs, (C',), lose on average by the rounding of its weights.

    ``lost``, (C', C / groups, kh, kw), is what the weights lose, and ``means``, (C,), are the means of the inputs
    (Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019, section 4.2).
    Padding is ignored.
    """
    by_channel = lost.astype(np.float64).sum(axis=(2, 3)).reshape(groups, -1, lost.shape[1])
    return np.asarray(np.einsum("goi,gi->go", by_channel, means.reshape(groups, -1)).ravel())
