"""Modulated deformable convolution (Zhu et al., "Deformable ConvNets v2", CVPR 2019) without a custom extension."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 3
TAPS = KERNEL * KERNEL


class TapSampling(nn.Module):
    """What each tap of each pixel sees, outside the data zero: one bilinear sampling of all taps."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
        """Return arguments as in `DeformConv2d`; returns (N, 9 C, H, W), the taps of a channel side by side."""
        n, channels, height, width = data.shape
        grid = _sampling_grid(offsets, height, width).reshape(n, TAPS * height, width, 2)
        samples = F.grid_sample(data, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weighted = samples.reshape(n, channels, TAPS, height, width) * mask.unsqueeze(1)
        return weighted.reshape(n, channels * TAPS, height, width)


class DeformConv2d(nn.Module):
    """3x3 modulated deformable convolution, stride 1, padding 1, as one sampling and one product."""

    def __init__(self) -> None:
        super().__init__()
        self.sampling = TapSampling()

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return (N, C', H, W).

        Args:
            data: (N, C, H, W).
            offsets: (N, 18, H, W) in pixels, dy and dx of each tap in row-major order.
            mask: (N, 9, H, W), the modulation, 0 to 1.
            weight: (C', C, 3, 3).
            bias: (C'), or None.
        """
        return F.conv2d(self.sampling(data, offsets, mask), weight.flatten(1)[:, :, None, None], bias)


def _sampling_grid(offsets: Tensor, height: int, width: int) -> Tensor:
    """Return where each tap looks, (N, 9, H, W, 2) as x, y from -1 to 1 over the outer edges of the data."""
    steps = torch.arange(KERNEL, dtype=offsets.dtype, device=offsets.device) - KERNEL // 2
    rows = torch.arange(height, dtype=offsets.dtype, device=offsets.device)[:, None]
    columns = torch.arange(width, dtype=offsets.dtype, device=offsets.device)
    y = offsets[:, 0::2] + steps.repeat_interleave(KERNEL)[:, None, None] + rows
    x = offsets[:, 1::2] + steps.repeat(KERNEL)[:, None, None] + columns
    return torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)


class ModulatedDeformConv(nn.Module):
    """Holds the weight; the module ``operator``, which is called as `DeformConv2d`, does the work.

    An export can so put another form in its place. There is no bias at first; one appears when BatchNorm is folded into
    the weight.
    """

    bias: nn.Parameter | None

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, KERNEL, KERNEL))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.register_parameter("bias", None)
        self.operator: nn.Module = DeformConv2d()

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
        """See `DeformConv2d.forward`."""
        output: Tensor = self.operator(data, offsets, mask, self.weight, self.bias)
        return output
