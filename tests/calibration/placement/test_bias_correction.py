"""The mean that rounding takes from a convolution's outputs is known from its inputs' means."""

from __future__ import annotations

import numpy as np
import pytest

from pem_edge.calibration.placement.bias_correction import lost_mean


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_it_is_what_convolving_with_the_loss_gives_on_average(groups: int) -> None:
    random = np.random.default_rng(groups)
    x = random.normal(1, 1, size=(1, 6, 40, 40))
    x -= x.mean(axis=(2, 3), keepdims=True) - np.arange(6)[:, None, None]  # each channel's mean is its number
    lost = random.normal(size=(6, 6 // groups, 1, 1))
    of_group = np.split(x[0], groups), np.split(lost[..., 0, 0], groups)
    y = np.concatenate([np.tensordot(weights, part, 1) for part, weights in zip(*of_group, strict=True)])
    np.testing.assert_allclose(lost_mean(lost, np.arange(6.0), groups), y.mean(axis=(1, 2)), atol=1e-9)
