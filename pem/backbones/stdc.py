"""STDC (Fan et al., "Rethinking BiSeNet", CVPR 2021) with "cat" blocks of four convolutions."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from pem_edge.pem.backbones.base import Backbone
from pem_edge.pem.layers.blocks import ConvNorm, ConvNormReLU


class CatBlock(nn.Module):
    """A 1x1 convolution and three 3x3 ones, each fed by the one before; the four outputs side by side.

    With stride 2 the first output is halved twice over: by a depthwise convolution on the way to the second
    convolution, by average pooling on the way out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half, quarter, eighth = out_channels // 2, out_channels // 4, out_channels // 8
        self.convs = nn.ModuleList(
            [
                ConvNormReLU(in_channels, half),
                ConvNormReLU(half, quarter, 3),
                ConvNormReLU(quarter, eighth, 3),
                ConvNormReLU(eighth, eighth, 3),
            ]
        )
        self.downsample = ConvNorm(half, half, 3, stride, groups=half) if stride == 2 else nn.Identity()
        self.skip = nn.AvgPool2d(3, stride, padding=1) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the features after this block."""
        first, *others = self.convs
        half = first(x)
        x = self.downsample(half)
        outputs = [self.skip(half)]
        for conv in others:
            x = conv(x)
            outputs.append(x)
        return torch.cat(outputs, dim=1)


class STDC(Backbone):
    """Two strided convolutions, then three stages of ``layers`` blocks, ``base`` times 4, 8 and 16 wide."""

    def __init__(self, base: int = 64, layers: tuple[int, int, int] = (2, 2, 2)) -> None:
        super().__init__()
        self.channels = (base, base * 4, base * 8, base * 16)
        modules: list[nn.Module] = [
            ConvNormReLU(3, base // 2, kernel=3, stride=2),
            ConvNormReLU(base // 2, base, kernel=3, stride=2),
        ]
        width = base
        for out_channels, blocks in zip(self.channels[1:], layers, strict=True):
            modules += [
                CatBlock(width if i == 0 else out_channels, out_channels, 2 if i == 0 else 1) for i in range(blocks)
            ]
            width = out_channels
        self.features = nn.Sequential(*modules)
        self.stage_ends = list(accumulate(layers, initial=2))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the maps at strides 4, 8, 16 and 32, from normalized ``pixels`` (N, 3, H, W)."""
        maps = []
        x = pixels
        for end, module in enumerate(self.features, start=1):
            x = module(x)
            if end in self.stage_ends:
                maps.append(x)
        stride4, stride8, stride16, stride32 = maps
        return stride4, stride8, stride16, stride32
