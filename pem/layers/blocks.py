"""Small modules that several parts of the models use."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32
"""Number of groups of every GroupNorm, as published."""


def gelu(x: Tensor) -> Tensor:
    """Return GELU of ``x``, of any shape; in a graph, as the nodes that inference engines recognize and fuse."""
    if torch.compiler.is_exporting():
        return x * (1 + torch.erf(x / math.sqrt(2))) * 0.5
    return F.gelu(x)


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm. The padding is such that the stride alone changes the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        normalized: Tensor = self.bn(self.conv(x))
        return normalized


class ConvNormReLU(ConvNorm):
    """A `ConvNorm` followed by ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        return F.relu(super().forward(x))


class ConvGroupNorm(nn.Module):
    """Convolution of stride 1, then GroupNorm with 32 groups. The padding keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, *, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        self.norm = nn.GroupNorm(GROUPS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, in_channels, H, W) to (N, out_channels, H, W)."""
        normalized: Tensor = self.norm(self.conv(x))
        return normalized


class UnitNorm(nn.Module):
    """Divides a tensor by its L2 norm along dimension ``dim``, or by 1e-12 where the norm is smaller."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, of any shape, with unit norm along the dimension."""
        norm: Tensor = torch.linalg.vector_norm(x, dim=self.dim, keepdim=True)
        return x / norm.clamp_min(1e-12)


class GlobalAverage(nn.Module):
    """Averages each channel over all pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, (N, C, 1, 1), of ``x`` (N, C, H, W)."""
        return x.mean(dim=(2, 3), keepdim=True)


class MLP(nn.Module):
    """Three linear layers with ``activation`` between them; the hidden layers have ``width`` channels."""

    def __init__(self, width: int, out_width: int, activation: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, out_width)])

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_width) from ``x`` (..., width)."""
        first, second, last = self.layers
        projected: Tensor = last(self.activation(second(self.activation(first(x)))))
        return projected


class FeedForward(nn.Module):
    """A feed-forward network: two linear layers with ReLU between them, LayerNorm, and a shortcut around them.

    With ``norm_first``, LayerNorm is applied before the layers (pre-norm), otherwise to the sum with the shortcut
    (post-norm).
    """

    def __init__(self, width: int, hidden: int, *, norm_first: bool = True) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the updated ``x``, (N, T, C)."""
        content = self.norm(x) if self.norm_first else x
        updated: Tensor = x + self.contract(F.relu(self.expand(content)))
        return updated if self.norm_first else self.norm(updated)
