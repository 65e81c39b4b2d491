"""Multi-scale deformable attention (Zhu et al., "Deformable DETR", ICLR 2021) without a custom extension."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POINTS = 4
"""That a head looks at, at each level, for each token."""

Size = tuple[int, int]
"""Height and width of a level's map."""


class DeformableSampling(nn.Module):
    """For each token and head the weighted mean of what is at its points; outside the maps the values are zero.

    One bilinear sampling a level, all heads folded into the batch. Points come before tokens, so that the sum over
    them runs over long rows.
    """

    def forward(self, values: Tensor, offsets: Tensor, scores: Tensor, sizes: Sequence[Size]) -> Tensor:
        """Return (N, S, heads D).

        Args:
            values: (N, S, heads, D), the tokens of all levels of ``sizes``.
            offsets: (N, S, heads, levels, points, 2), x and y in pixels from the token's own place.
            scores: (N, S, heads, levels points), weights before softmax.
            sizes: The height and width of each level.
        """
        n, length, heads, levels, points, _ = offsets.shape
        places = offsets.permute(3, 0, 2, 4, 1, 5) * steps(sizes, offsets) + centers(sizes, offsets)
        samples = [
            F.grid_sample(
                level.flatten(2).transpose(1, 2).reshape(n * heads, -1, *size),
                place.reshape(n * heads, points, length, 2),
                align_corners=False,
            )
            for level, place, size in zip(
                torch.split(values, [height * width for height, width in sizes], 1), places.unbind(), sizes, strict=True
            )
        ]
        weights = scores.softmax(-1).permute(0, 2, 3, 1).reshape(n * heads, 1, levels * points, length)
        attended = (torch.cat(samples, 2) * weights).sum(2)
        return attended.reshape(n, -1, length).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Each token of some levels' maps attends to `POINTS` points of each level around its own place.

    Holds the weights; ``operator`` does the work, a module called as `DeformableSampling`, so that an export can put
    another form in its place.
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

    def forward(self, tokens: Tensor, positions: Tensor, sizes: Sequence[Size]) -> Tensor:
        """Return (N, S, C) from ``tokens`` (N, S, C) of the levels of ``sizes`` and ``positions`` (1, S, C)."""
        placed = tokens + positions
        offsets = self.offsets(placed).unflatten(2, (self.heads, self.levels, POINTS, 2))
        scores = self.scores(placed).unflatten(2, (self.heads, self.levels * POINTS))
        values = self.values(tokens).unflatten(2, (self.heads, -1))
        attended: Tensor = self.output(self.operator(values, offsets, scores, sizes))
        return attended

    def _initialize(self) -> None:
        """Let each head look along a direction of its own, with point i at i steps."""
        for linear in (self.offsets, self.scores):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], 1)
        directions = directions / directions.abs().amax(1, keepdim=True)
        steps = directions[:, None, None] * torch.arange(1, POINTS + 1)[:, None]
        with torch.no_grad():
            self.offsets.bias.copy_(steps.expand(-1, self.levels, -1, -1).flatten())


def steps(sizes: Sequence[Size], like: Tensor) -> Tensor:
    """Return a pixel of each level as a share of -1 to 1, (levels, 1, 1, 1, 1, 2) as x, y."""
    two = like.new_full((1,), 2)
    return torch.cat([two / side for size in sizes for side in reversed(size)]).reshape(len(sizes), 1, 1, 1, 1, 2)


def centers(sizes: Sequence[Size], like: Tensor) -> Tensor:
    """Return where the pixels of all levels lie, (S, 2) as x, y from -1 to 1 over the outer edges of a map."""
    return torch.cat([_centers(*size, like) for size in sizes])


def _centers(height: int, width: int, like: Tensor) -> Tensor:
    y, x = ((2 * torch.arange(side, dtype=like.dtype, device=like.device) + 1) / side - 1 for side in (height, width))
    rows = y.unsqueeze(1)
    # Sums broadcast sizes that vary into the graph where repeating would not.
    return torch.stack([x + 0 * rows, rows + 0 * x], 2).flatten(0, 1)
