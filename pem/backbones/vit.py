"""Vision Transformer as DINOv2 has it (Oquab et al., TMLR 2024), with registers (Darcet et al., ICLR 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.vit_block import ViTBlock

PATCH = 16
"""Height and width of a patch in pixels, EoMT's; DINOv2 itself has 14."""

Grid = tuple[int, int]
"""Rows and columns of patches."""


def grid_of(height: int, width: int) -> Grid:
    """Return the patches of an image whose height and width, in pixels, are multiples of `PATCH`."""
    return height // PATCH, width // PATCH


class PatchEmbedding(nn.Conv2d):
    """Turns each patch of an image into a token."""

    def __init__(self, width: int) -> None:
        super().__init__(3, width, PATCH, stride=PATCH)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens, (N, P, C), of normalized ``pixels``, float (N, 3, H, W), row by row."""
        return super().forward(pixels).flatten(2).transpose(1, 2)


class PositionEmbedding(nn.Module):
    """Adds a learned position to the token of each patch. Grids other than the trained one get resampled positions.

    The grid is square in training. Resampling is bicubic with antialiasing, as timm resamples DINOv2's, which EoMT was
    trained from.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.weight = nn.Parameter(torch.empty(side * side, width))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Return ``tokens``, (N, P, C), of the patches of ``grid`` with their positions."""
        return tokens + self.resampled(grid)

    def resampled(self, grid: Grid) -> Tensor:
        """Return the positions of the patches of ``grid``, (P, C)."""
        if grid == (self.side, self.side):
            return self.weight
        trained = self.weight.reshape(self.side, self.side, -1).permute(2, 0, 1).unsqueeze(0)
        return F.interpolate(trained, grid, mode="bicubic", antialias=True)[0].flatten(1).transpose(0, 1)


class VisionTransformer(nn.Module):
    """A Vision Transformer without its last blocks and its last norm, which EoMT's decoder has.

    Args:
        width: Channels C of a token.
        heads: Number of attention heads.
        depth: Number of blocks.
        side: Rows, and columns, of patches in training.
        registers: Number R of learned tokens beside the class token.
    """

    def __init__(self, width: int, heads: int, depth: int, side: int = 40, registers: int = 4) -> None:
        super().__init__()
        self.patches = PatchEmbedding(width)
        self.positions = PositionEmbedding(width, side)
        self.prefix = nn.Parameter(torch.empty(1 + registers, width))
        nn.init.trunc_normal_(self.prefix, std=0.02)
        self.blocks = nn.Sequential(*(ViTBlock(width, heads) for _ in range(depth)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens, (N, P + 1 + R, C), of normalized ``pixels``, float (N, 3, H, W).

        Those of the patches come first, row by row, then the class token and the registers. The published order is
        another; only positions tell blocks of their order.
        """
        tokens = self.positions(self.patches(pixels), grid_of(pixels.shape[2], pixels.shape[3]))
        tokens = torch.cat([tokens, self.prefix.expand(tokens.shape[0], -1, -1)], dim=1)
        features: Tensor = self.blocks(tokens)
        return features
