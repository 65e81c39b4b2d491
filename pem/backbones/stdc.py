"""STDC (Fan et al., "Rethinking BiSeNet", CVPR 2021) with "cat" blocks of four convolutions."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from pem_edge.pem.backbones.base import Backbone
from pem_edge.pem.layers.blocks import ConvNorm, ConvNormReLU


class CatBlock(nn.Module):
    """A chain of one 1x1 and three 3x3 convolutions whose four outputs are concatenated.

    With stride 2, a depthwise convolution halves the first output before the second convolution takes it, and average
    pooling halves it before it is concatenated.
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
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        first, *others = self.convs
        half = first(x)
        x = self.downsample(half)
        outputs = [self.skip(half)]
        for conv in others:
            x = conv(x)
            outputs.append(x)
        return torch.cat(outputs, dim=1)


class STDC(Backbone):
    """STDC1 with ``layers`` (2, 2, 2), STDC2 with (4, 5, 3), if ``base`` is 64.

    Two convolutions of stride 2 come first, then three stages with 4, 8 and 16 times ``base`` channels.
    ``layers`` gives the number of blocks per stage.
    """

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
        """Return the feature maps at strides 4, 8, 16 and 32 of normalized ``pixels`` (N, 3, H, W)."""
        maps = []
        x = pixels
        for end, module in enumerate(self.features, start=1):
            x = module(x)
            if end in self.stage_ends:
                maps.append(x)
        stride4, stride8, stride16, stride32 = maps
        return stride4, stride8, stride16, stride32
