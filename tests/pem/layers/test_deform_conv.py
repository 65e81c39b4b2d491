"""Deformable convolution by GridSample is the operation that checkpoints were trained with."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from pem_edge.pem.layers.deform_conv import DeformConv2d

Array = NDArray[np.float64]

deform_conv2d = DeformConv2d()


def by_loops(data: Array, offsets: Array, mask: Array, weight: Array) -> Array:
    """Return the definition (Zhu et al., 2019, equation 1), one output pixel at a time, in float64."""
    _, height, width = data.shape
    output = np.zeros((weight.shape[0], height, width))
    for row, column, tap in np.ndindex(height, width, 9):
        y = row + tap // 3 - 1 + offsets[2 * tap, row, column]
        x = column + tap % 3 - 1 + offsets[2 * tap + 1, row, column]
        value = mask[tap, row, column] * bilinear(data, y, x)
        output[:, row, column] += weight[:, :, tap // 3, tap % 3] @ value
    return output


def bilinear(data: Array, y: float, x: float) -> Array:
    value = np.zeros(data.shape[0])
    for corner_y in (math.floor(y), math.floor(y) + 1):
        for corner_x in (math.floor(x), math.floor(x) + 1):
            if 0 <= corner_y < data.shape[1] and 0 <= corner_x < data.shape[2]:
                share = (1 - abs(y - corner_y)) * (1 - abs(x - corner_x))
                value += share * data[:, corner_y, corner_x]
    return value


@given(
    height=st.integers(1, 5),
    width=st.integers(1, 6),
    channels=st.integers(1, 3),
    reach=st.sampled_from([0.0, 0.5, 2.0, 20.0]),
    seed=st.integers(0, 2**16),
)
def test_equals_the_definition(height: int, width: int, channels: int, reach: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = random.normal(size=(channels, height, width))
    offsets = random.uniform(-reach, reach, (18, height, width))
    mask = random.uniform(0, 1, (9, height, width))
    weight = random.normal(size=(2, channels, 3, 3))
    bias = random.normal(size=2)
    batch = [torch.from_numpy(a[None]) for a in (data, offsets, mask)]
    ours = deform_conv2d(batch[0], batch[1], batch[2], torch.from_numpy(weight), torch.from_numpy(bias))
    expected = by_loops(data, offsets, mask, weight) + bias[:, None, None]
    np.testing.assert_allclose(ours[0].numpy(), expected, rtol=0, atol=1e-9)


def test_without_offsets_it_is_a_convolution() -> None:
    data, weight = torch.randn(2, 4, 7, 9), torch.randn(3, 4, 3, 3)
    ours = deform_conv2d(data, torch.zeros(2, 18, 7, 9), torch.ones(2, 9, 7, 9), weight, None)
    torch.testing.assert_close(ours, F.conv2d(data, weight, padding=1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tap", range(9))
def test_offsets_are_dy_then_dx_of_row_major_taps(tap: int) -> None:
    data = torch.arange(35, dtype=torch.float32).reshape(1, 1, 5, 7)
    offsets = torch.zeros(1, 18, 5, 7)
    offsets[:, 2 * tap], offsets[:, 2 * tap + 1] = 1.0, -1.0
    weight = torch.zeros(1, 1, 9)
    weight[..., tap] = 1
    ours = deform_conv2d(data, offsets, torch.ones(1, 9, 5, 7), weight.reshape(1, 1, 3, 3), None)
    row, column = 2 + tap // 3 - 1 + 1, 3 + tap % 3 - 1 - 1
    assert ours[0, 0, 2, 3] == pytest.approx(float(data[0, 0, row, column]), abs=1e-4)
