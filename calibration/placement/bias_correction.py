"""Estimates how rounding the weights of a convolution shifts the mean of its outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lost_mean(lost: NDArray[np.floating], means: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Return what a convolution's outputs lose on average when its weights are rounded, float64 (C',).

    See Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019, section 4.2.
    Padding is ignored.

    Args:
        lost: The weights minus the rounded weights, (C', C / groups, kh, kw).
        means: The mean of each input channel, (C,).
        groups: The number of groups of the convolution.
    """
    by_channel = lost.astype(np.float64).sum(axis=(2, 3)).reshape(groups, -1, lost.shape[1])
    return np.asarray(np.einsum("goi,gi->go", by_channel, means.reshape(groups, -1)).ravel())
