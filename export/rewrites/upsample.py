"""Turn a 4x4 transposed convolution of stride 2 into ordinary 2x2 convolutions.

Each output pixel sees 2x2 inputs, through one of four sub-kernels by the parity of its row and column. Row 2i of the
output reads rows i-1 and i of the input through taps 3 and 1; row 2i+1 reads rows i and i+1 through taps 2 and 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem.pixel_decoder import Upsample

_TAPS = ((3, 1), (2, 0))
"""Taps of the transposed kernel that make an even and an odd output, in the order of the inputs they meet."""


def upsample_by_phases(model: nn.Module) -> None:
    """Rewrite ``model`` in place; BatchNorm must have been folded before."""
    for module in model.modules():
        if isinstance(module, Upsample):
            module.register_module("conv", PhaseConvTranspose(module.conv))


class PhaseConvTranspose(nn.Module):
    """The same function as a 4x4 ``nn.ConvTranspose2d`` of stride 2 and padding 1."""

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        kernel, out_channels = transposed.weight.transpose(0, 1), transposed.out_channels
        bias = kernel.new_zeros(out_channels) if transposed.bias is None else transposed.bias
        self.rows = nn.ModuleList(
            _convolution(torch.cat([kernel[:, :, rows][:, :, :, columns] for columns in _TAPS]), bias.repeat(2))
            for rows in _TAPS
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', 2H, 2W)."""
        even, odd = self.rows
        above, below = F.pad(x, (1, 1, 1, 0)), F.pad(x, (1, 1, 0, 1))
        return torch.stack([_interleave(even(above)), _interleave(odd(below))], dim=3).flatten(2, 3)


def _interleave(phases: Tensor) -> Tensor:
    """Even and odd columns, (N, 2C, H, W+1), to whole rows, (N, C, H, 2W); each phase has one column too many."""
    even, odd = phases.chunk(2, dim=1)
    return torch.stack([even[..., :-1], odd[..., 1:]], dim=4).flatten(3)


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 2)
    convolution.weight, convolution.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias)
    return convolution.requires_grad_(False)
