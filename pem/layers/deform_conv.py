"""Modulated deformable convolution (Zhu et al., "Deformable ConvNets v2", CVPR 2019) in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 3
"""Height and width of the kernel."""

TAPS = KERNEL * KERNEL
"""Number of kernel elements; the input is sampled once for each of them per output pixel."""


class TapSampling(nn.Module):
    """Samples the input bilinearly for each tap of each output pixel; outside the input, samples are zero."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
        """Return the modulated samples, (N, C x 9, H, W), with the nine taps of a channel next to each other.

        Args:
            data: Input, (N, C, H, W).
            offsets: Offsets in pixels, (N, 18, H, W): dy and dx of each tap in row-major order.
            mask: Modulation of each tap, 0 to 1, (N, 9, H, W).
        """
        n, channels, height, width = data.shape
        grid = _sampling_grid(offsets, height, width).reshape(n, TAPS * height, width, 2)
        samples = F.grid_sample(data, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weighted = samples.reshape(n, channels, TAPS, height, width) * mask.unsqueeze(1)
        return weighted.reshape(n, channels * TAPS, height, width)


class DeformConv2d(nn.Module):
    """3x3 modulated deformable convolution with stride 1 and padding 1: `TapSampling` and a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.sampling = TapSampling()

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the output of the convolution, (N, C', H, W).

        Args:
            data: Input, (N, C, H, W).
            offsets: Offsets in pixels, (N, 18, H, W): dy and dx of each tap in row-major order.
            mask: Modulation of each tap, 0 to 1, (N, 9, H, W).
            weight: Weight of the convolution, (C', C, 3, 3).
            bias: Bias of the convolution, (C'), or None.
        """
        return F.conv2d(self.sampling(data, offsets, mask), weight.flatten(1)[:, :, None, None], bias)


def tap_locations(offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows and the columns at which the taps sample, in pixels, each (N, 9, H, W).

    Args:
        offsets: Offsets in pixels, (N, 18, H, W): dy and dx of each tap in row-major order.
    """
    height, width = offsets.shape[2:]
    steps = torch.arange(KERNEL, dtype=offsets.dtype, device=offsets.device) - KERNEL // 2
    rows = torch.arange(height, dtype=offsets.dtype, device=offsets.device)[:, None]
    columns = torch.arange(width, dtype=offsets.dtype, device=offsets.device)
    y = offsets[:, 0::2] + steps.repeat_interleave(KERNEL)[:, None, None] + rows
    x = offsets[:, 1::2] + steps.repeat(KERNEL)[:, None, None] + columns
    return y, x


def _sampling_grid(offsets: Tensor, height: int, width: int) -> Tensor:
    """Return the taps' sampling locations (x, y), (N, 9, H, W, 2); the outer edges of the input lie at -1 and 1."""
    y, x = tap_locations(offsets)
    return torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)


class ModulatedDeformConv(nn.Module):
    """The weights of a deformable convolution, and the module ``operator`` that computes it.

    An export can replace ``operator`` by another module with the interface of `DeformConv2d`. There is no bias until an
    export folds BatchNorm into this module.
    """

    bias: nn.Parameter | None

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, KERNEL, KERNEL))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.register_parameter("bias", None)
        self.operator: nn.Module = DeformConv2d()

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor) -> Tensor:
        """Return the output, (N, C', H, W); arguments as in `DeformConv2d.forward`."""
        output: Tensor = self.operator(data, offsets, mask, self.weight, self.bias)
        return output
