"""Blocks that several parts of the model are built from."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """Convolution without bias and BatchNorm; the padding keeps the size (divided by the stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        normalized: Tensor = self.bn(self.conv(x))
        return normalized


class ConvNormReLU(ConvNorm):
    """ConvNorm followed by ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class MLP(nn.Module):
    """Three linear layers of one width with ReLU between them."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, out_width)])

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        projected: Tensor = last(F.relu(second(F.relu(first(x)))))
        return projected
