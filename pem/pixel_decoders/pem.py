"""PEM's pixel decoder: context-based self-modulation and deformable convolutions (paper, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import ConvNormReLU, GlobalAverage
from pem_edge.pem.layers.deform_conv import TAPS, ModulatedDeformConv


class ContextModulation(nn.Module):
    """``x + x * s``, ``s`` from the global average of ``x``.

    The published code applies a sigmoid twice, which the paper does not mention; checkpoints depend on it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.average = GlobalAverage()
        self.reduce = ConvNormReLU(width, width // 2)
        self.expand = nn.Conv2d(width // 2, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (N, C, H, W) with its channels rescaled."""
        scale: Tensor = self.expand(self.reduce(self.average(x))).sigmoid().sigmoid()
        return x * (1 + scale)


class Upsample(nn.Module):
    """4x4 transposed convolution of stride 2, BatchNorm, ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, 2H, 2W) from ``x`` (N, C, H, W)."""
        return F.relu(self.bn(self.conv(x)))


class DeformableLevel(nn.Module):
    """Deformable convolution, BatchNorm and ReLU give the level's output; upsampled it feeds the next level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(width, 3 * TAPS, 3, padding=1)
        self.deform = ModulatedDeformConv(width, width)
        self.bn = nn.BatchNorm2d(width)
        self.upsample = Upsample(width)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level's output, and that output upsampled."""
        offsets, mask = torch.split(self.offsets(x), [2 * TAPS, TAPS], dim=1)
        x = F.relu(self.bn(self.deform(x, offsets, mask.sigmoid())))
        return x, self.upsample(x)


class PixelDecoder(nn.Module):
    """From backbone maps to mask features at stride 4 and one map a level at strides 32, 16 and 8."""

    def __init__(self, channels: tuple[int, int, int, int], width: int, mask_width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(ConvNormReLU(c, width) for c in channels)
        self.average = GlobalAverage()
        self.context = ConvNormReLU(channels[-1], width)
        self.modulations = nn.ModuleList(ContextModulation(width) for _ in channels)
        self.levels = nn.ModuleList(DeformableLevel(width) for _ in channels[1:])
        self.mask_features = ConvNormReLU(width, mask_width)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return mask features (N, M, H/4, W/4) and level maps, coarsest first, from backbone maps, finest first."""
        modulated = [
            modulation(projection(feature))
            for modulation, projection, feature in zip(
                self.modulations, reversed(self.projections), reversed(features), strict=True
            )
        ]
        carried = self.context(self.average(features[-1]))
        outputs = []
        for level, x in zip(self.levels, modulated[:-1], strict=True):
            output, carried = level(x + carried)
            outputs.append(output)
        return self.mask_features(modulated[-1] + carried), outputs
