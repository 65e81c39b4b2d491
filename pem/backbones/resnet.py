"""ResNet-50 and -101 as the published models configure detectron2's.

``STRIDE_IN_1X1`` is False: a bottleneck with stride 2 has it in its 3x3 convolution.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.backbones.base import Backbone
from pem_edge.pem.layers.blocks import ConvNorm, ConvNormReLU


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut around them (He et al., CVPR 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = out_channels // 4
        self.conv1 = ConvNormReLU(in_channels, width)
        self.conv2 = ConvNormReLU(width, width, 3, stride)
        self.conv3 = ConvNorm(width, out_channels)
        keeps_shape = in_channels == out_channels and stride == 1
        self.shortcut = nn.Identity() if keeps_shape else ConvNorm(in_channels, out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        return F.relu(self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x))


class ResNet(Backbone):
    """A ResNet of bottlenecks; ``depths`` gives their number per stage. The default is ResNet-50's."""

    channels = (256, 512, 1024, 2048)

    def __init__(self, depths: tuple[int, int, int, int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.stem = ConvNormReLU(3, 64, kernel=7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.res2 = _stage(64, 256, depths[0], stride=1)
        self.res3 = _stage(256, 512, depths[1], stride=2)
        self.res4 = _stage(512, 1024, depths[2], stride=2)
        self.res5 = _stage(1024, 2048, depths[3], stride=2)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps at strides 4, 8, 16 and 32 of normalized ``pixels`` (N, 3, H, W)."""
        res2 = self.res2(self.pool(self.stem(pixels)))
        res3 = self.res3(res2)
        res4 = self.res4(res3)
        return res2, res3, res4, self.res5(res4)


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, out_channels, stride)
    return nn.Sequential(first, *(Bottleneck(out_channels, out_channels, 1) for _ in range(blocks - 1)))
