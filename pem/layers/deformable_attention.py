"""Multi-scale deformable attention (Zhu et al., "Deformable DETR", ICLR 2021) in plain PyTorch, without CUDA code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POINTS = 4
"""Number of points that each head samples per level for each token."""

LevelSize = tuple[int, int]
"""Height and width of a level map."""


class DeformableSampling(nn.Module):
    """Computes, for each token and head, the weighted mean of the values at its points.

    Values are sampled bilinearly and are zero outside a map. There is one ``grid_sample`` per level, with the heads
    folded into the batch. The points' dimension comes before the tokens', so that the sum over points adds long rows.
    """

    def forward(self, values: Tensor, offsets: Tensor, logits: Tensor, sizes: Sequence[LevelSize]) -> Tensor:
        """Return the weighted means, (N, S, heads D).

        Args:
            values: Values of the S tokens of all levels, (N, S, heads, D).
            offsets: Offsets (x, y) of each point from its token's position, in pixels of the point's level,
                (N, S, heads, levels, points, 2).
            logits: Attention logits, (N, S, heads, levels points).
            sizes: Height and width of each level.
        """
        n, length, heads, levels, points, _ = offsets.shape
        locations = offsets.permute(3, 0, 2, 4, 1, 5) * pixel_sizes(sizes, offsets) + pixel_centers(sizes, offsets)
        samples = [
            F.grid_sample(
                level.flatten(2).transpose(1, 2).reshape(n * heads, -1, *size),
                grid.reshape(n * heads, points, length, 2),
                align_corners=False,
            )
            for level, grid, size in zip(
                torch.split(values, [height * width for height, width in sizes], 1),
                locations.unbind(),
                sizes,
                strict=True,
            )
        ]
        weights = logits.softmax(-1).permute(0, 2, 3, 1).reshape(n * heads, 1, levels * points, length)
        of_levels = zip(samples, torch.split(weights, points, 2), strict=True)
        attended: Tensor = reduce(torch.add, ((each * part).sum(2) for each, part in of_levels))
        return attended.reshape(n, -1, length).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Deformable attention: each token attends to `POINTS` points per level around its own position.

    This module holds the weights. ``operator`` does the sampling; an export can replace it by another module with the
    interface of `DeformableSampling`.
    """

    def __init__(self, width: int, heads: int, levels: int) -> None:
        super().__init__()
        self.heads, self.levels = heads, levels
        self.offsets = nn.Linear(width, heads * levels * POINTS * 2)
        self.scores = nn.Linear(width, heads * levels * POINTS)
        self.values = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.operator: nn.Module = DeformableSampling()
        self._initialize()

    def forward(self, tokens: Tensor, positions: Tensor, sizes: Sequence[LevelSize]) -> Tensor:
        """Return the attended tokens, (N, S, C).

        Args:
            tokens: Tokens of all levels, (N, S, C).
            positions: Their position encodings, (1, S, C).
            sizes: Height and width of each level.
        """
        queries = tokens + positions
        offsets = self.offsets(queries).unflatten(2, (self.heads, self.levels, POINTS, 2))
        logits = self.scores(queries).unflatten(2, (self.heads, self.levels * POINTS))
        values = self.values(tokens).unflatten(2, (self.heads, -1))
        attended: Tensor = self.output(self.operator(values, offsets, logits, sizes))
        return attended

    def _initialize(self) -> None:
        """Make each head look in a direction of its own, with point i at a distance of i pixels, as published."""
        for linear in (self.offsets, self.scores):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], 1)
        directions = directions / directions.abs().amax(1, keepdim=True)
        offsets = directions[:, None, None] * torch.arange(1, POINTS + 1)[:, None]
        with torch.no_grad():
            self.offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())


def pixel_sizes(sizes: Sequence[LevelSize], like: Tensor) -> Tensor:
    """Return the width and height of a pixel of each level, where a whole map is 2 wide and 2 high.

    Args:
        sizes: Height and width of each level in pixels.
        like: A tensor with the dtype and device to use.

    Returns:
        (x, y) per level, (levels, 1, 1, 1, 1, 2).
    """
    two = like.new_full((1,), 2)
    return torch.cat([two / side for size in sizes for side in reversed(size)]).reshape(len(sizes), 1, 1, 1, 1, 2)


def pixel_centers(sizes: Sequence[LevelSize], like: Tensor) -> Tensor:
    """Return the centers of the pixels of all levels, where the outer edges of a map lie at -1 and 1.

    Args:
        sizes: Height and width of each level in pixels.
        like: A tensor with the dtype and device to use.

    Returns:
        (x, y) per pixel, row by row and level by level, (S, 2).
    """
    return torch.cat([_centers_of_level(*size, like) for size in sizes])


def _centers_of_level(height: int, width: int, like: Tensor) -> Tensor:
    y, x = ((2 * torch.arange(side, dtype=like.dtype, device=like.device) + 1) / side - 1 for side in (height, width))
    rows = y.unsqueeze(1)
    # Broadcast by adding zero: this keeps dynamic sizes symbolic in the exported graph, where repeat() would not.
    return torch.stack([x + 0 * rows, rows + 0 * x], 2).flatten(0, 1)
