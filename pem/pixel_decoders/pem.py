"""PEM's pixel decoder: context-based self-modulation and deformable convolutions (paper, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import ConvNormReLU, GlobalAverage
from pem_edge.pem.layers.deform_conv import TAPS, ModulatedDeformConv


class ContextModulation(nn.Module):
    """Context-based self-modulation: scales each channel by a factor computed from the global average of all channels.

    As in the published code, a sigmoid is applied twice; the paper does not mention the second one, but checkpoints are
    trained with it.
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
    """Doubles the size of a map: transposed 4x4 convolution of stride 2, BatchNorm and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, C, H, W) to (N, C, 2H, 2W)."""
        return F.relu(self.bn(self.conv(x)))


class DeformableLevel(nn.Module):
    """A level of PEM's pixel decoder: deformable convolution, BatchNorm and ReLU, and `Upsample` to the next level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(width, 3 * TAPS, 3, padding=1)
        self.deform = ModulatedDeformConv(width, width)
        self.bn = nn.BatchNorm2d(width)
        self.upsample = Upsample(width)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level map of ``x`` (N, C, H, W), of the same shape, and the map upsampled, (N, C, 2H, 2W)."""
        offsets, mask = torch.split(self.offsets(x), [2 * TAPS, TAPS], dim=1)
        x = F.relu(self.bn(self.deform(x, offsets, mask.sigmoid())))
        return x, self.upsample(x)


class PixelDecoder(nn.Module):
    """Turns backbone maps into mask features at stride 4 and level maps at strides 32, 16 and 8."""

    def __init__(self, channels: tuple[int, int, int, int], width: int, mask_width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(ConvNormReLU(c, width) for c in channels)
        self.average = GlobalAverage()
        self.context = ConvNormReLU(channels[-1], width)
        self.modulations = nn.ModuleList(ContextModulation(width) for _ in channels)
        self.levels = nn.ModuleList(DeformableLevel(width) for _ in channels[1:])
        self.mask_features = ConvNormReLU(width, mask_width)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return mask features and level maps.

        Args:
            features: The backbone's maps at strides 4, 8, 16 and 32.

        Returns:
            Mask features (N, M, H/4, W/4), and level maps (N, C, h, w) at strides 32, 16 and 8.
        """
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
