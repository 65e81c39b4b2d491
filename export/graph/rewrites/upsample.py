"""Turn a 4x4 transposed convolution of stride 2 into the four ordinary 2x2 convolutions it consists of.

Which of the four makes an output pixel depends on whether its row and column are even or odd. Row 2i of the output
reads rows i-1 and i of the input through taps 3 and 1; row 2i+1 reads rows i and i+1 through taps 2 and 0; columns
likewise. ReLU is applied before the four results are interleaved, where engines fuse it into the convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.pixel_decoders.pem import Upsample

_TAPS = ((3, 1), (2, 0))
"""Taps of the transposed kernel that make an even and an odd output, in the order of the inputs they meet."""


def upsample_by_phases(model: nn.Module) -> None:
    """Rewrite ``model`` in place; BatchNorm must have been folded before."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Upsample):
            model.set_submodule(name, PhaseUpsample(module.conv))


class PhaseUpsample(nn.Module):
    """The same function as a 4x4 ``nn.ConvTranspose2d`` of stride 2 and padding 1, followed by ReLU."""

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        kernel = transposed.weight.transpose(0, 1)
        bias = kernel.new_zeros(kernel.shape[0]) if transposed.bias is None else transposed.bias
        self.phases = nn.ModuleList(
            _convolution(kernel[:, :, rows][:, :, :, columns], bias) for rows in _TAPS for columns in _TAPS
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) to (N, C', 2H, 2W)."""
        even_even, even_odd, odd_even, odd_odd = (
            F.relu(convolution(F.pad(x, (1 - column, column, 1 - row, row))))
            for convolution, (row, column) in zip(self.phases, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
        )
        return depth_to_space(torch.cat([even_even, even_odd, odd_even, odd_odd], dim=1))


def depth_to_space(phases: Tensor) -> Tensor:
    """Interleave four maps, (N, 4 C, H, W) to (N, C, 2 H, 2 W): ONNX's DepthToSpace of blocks of 2, mode DCR."""
    n, channels, height, width = phases.shape
    shape = (n, channels // 4, 2 * height, 2 * width)
    if torch.compiler.is_exporting():
        return torch.onnx.ops.symbolic(
            "DepthToSpace", (phases,), {"blocksize": 2, "mode": "DCR"}, dtype=phases.dtype, shape=shape
        )
    return phases.reshape(n, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2).reshape(shape)


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 2)
    convolution.weight, convolution.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias)
    return convolution.requires_grad_(False)
