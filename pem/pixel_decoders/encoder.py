"""The transformer encoder: tokens of three levels attend to each other, all at once or level by level.

Mask2Former's has six layers over all tokens. PRO-SCALE (Aich et al., "Progressive Token Length Scaling in Transformer
Encoders for Efficient Universal Segmentation", ICLR 2025) starts with the few tokens of stride 32, adds those of stride
16 some layers later and those of stride 8, of which there are most, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.attention import FeedForward
from pem_edge.pem.layers.deformable_attention import DeformableAttention, Size
from pem_edge.pem.layers.positions import sine_positions

Depths = tuple[int, int, int]
"""How many layers see the tokens of stride 32 alone, those of 32 and 16, and all."""

TEMPERATURE = 0.1


class EncoderLayer(nn.Module):
    """Deformable attention and feed-forward, each followed by LayerNorm."""

    def __init__(self, width: int, heads: int, feedforward: int, levels: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, levels)
        self.norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, feedforward, norm_first=False)

    def forward(self, tokens: Tensor, positions: Tensor, sizes: Sequence[Size]) -> Tensor:
        """Return shapes as in `DeformableAttention`."""
        tokens = self.norm(tokens + self.attention(tokens, positions, sizes))
        refined: Tensor = self.feedforward(tokens)
        return refined


class TokenRecalibration(nn.Module):
    """PRO-SCALE's TRC: tokens of a coarse level times a sigmoid of what a linear map sees in the finest level.

    The published code takes the finest level's tokens, (N, S, C) in memory, for a map (N, C, H, W) without moving
    anything, resizes that, and takes the result for tokens again. Checkpoints depend on it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)

    def forward(self, tokens: Tensor, size: Size, finest: Tensor, finest_size: Size) -> Tensor:
        """Return (N, S, C) from ``tokens`` (N, S, C) of a map of ``size``, and those of the finest map."""
        n, _, width = finest.shape
        resized = F.interpolate(finest.reshape(n, width, *finest_size), size, mode="bilinear")
        weights: Tensor = self.linear(resized.reshape(tokens.shape))
        return tokens * (TEMPERATURE * weights).sigmoid()


class TokenEncoder(nn.Module):
    """``depths`` layers over the tokens of the first level, the first two, all three."""

    def __init__(self, width: int, heads: int, feedforward: int, depths: Depths, *, recalibrated: bool) -> None:
        super().__init__()
        self.depths = depths
        self.level_embeddings = nn.Parameter(torch.randn(len(depths), width))
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, feedforward, levels)
            for levels, depth in enumerate(depths, start=1)
            for _ in range(depth)
        )
        self.recalibration = TokenRecalibration(width) if recalibrated else None

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return maps (N, C, H, W), coarsest first, to maps of the same shapes."""
        sizes: list[Size] = [(level.shape[2], level.shape[3]) for level in levels]
        added = self._recalibrated([level.flatten(2).transpose(1, 2) for level in levels], sizes)
        positions = [self._positions(i, level) for i, level in enumerate(levels)]
        layers, seen = iter(self.layers), []
        for stage, depth in enumerate(self.depths, start=1):
            seen.append(added[stage - 1])
            tokens, places = torch.cat(seen, 1), torch.cat(positions[:stage], 1)
            for layer in islice(layers, depth):
                tokens = layer(tokens, places, sizes[:stage])
            seen = [tokens]
        parts = torch.split(tokens, [height * width for height, width in sizes], 1)
        return [part.transpose(1, 2).reshape(level.shape) for part, level in zip(parts, levels, strict=True)]

    def _recalibrated(self, tokens: list[Tensor], sizes: list[Size]) -> list[Tensor]:
        if self.recalibration is None:
            return tokens
        finest = tokens[-1], sizes[-1]
        coarse = zip(tokens[:-1], sizes[:-1], strict=True)
        return [*(self.recalibration(x, size, *finest) for x, size in coarse), tokens[-1]]

    def _positions(self, index: int, level: Tensor) -> Tensor:
        """Return sine positions with the level's embedding as tokens, (1, H W, C)."""
        rows, columns = sine_positions(level.shape[2], level.shape[3], level.shape[1], level.device)
        places = rows + columns + self.level_embeddings[index][:, None, None]
        return places.flatten(2).transpose(1, 2).to(level.dtype)
