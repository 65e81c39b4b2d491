"""Blocks that several parts of the model are built from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32
"""Of a GroupNorm, as published."""


class ConvNorm(nn.Module):
    """Convolution without bias and BatchNorm; the padding keeps the size (divided by the stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x`` (N, C, H, W) after this block."""
        normalized: Tensor = self.bn(self.conv(x))
        return normalized


class ConvNormReLU(ConvNorm):
    """ConvNorm followed by ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x`` (N, C, H, W) after this block."""
        return F.relu(super().forward(x))


class ConvGroupNorm(nn.Module):
    """Convolution and GroupNorm of 32 groups; the padding keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, *, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        self.norm = nn.GroupNorm(GROUPS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x`` (N, C, H, W) after this block."""
        normalized: Tensor = self.norm(self.conv(x))
        return normalized


class UnitNorm(nn.Module):
    """A tensor divided by its L2 norm along one dimension, or by 1e-12 where that is larger."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` divided by its norm."""
        norm: Tensor = torch.linalg.vector_norm(x, dim=self.dim, keepdim=True)
        return x / norm.clamp_min(1e-12)


class GlobalAverage(nn.Module):
    """Mean over rows and columns: (N, C, H, W) to (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, (N, C, 1, 1), of ``x`` (N, C, H, W)."""
        return x.mean(dim=(2, 3), keepdim=True)


class MLP(nn.Module):
    """Three linear layers of one width with ReLU between them."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, out_width)])

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_width) from ``x`` (..., width)."""
        first, second, last = self.layers
        projected: Tensor = last(F.relu(second(F.relu(first(x)))))
        return projected
