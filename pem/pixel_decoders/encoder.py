"""The transformer encoder of Mask2Former's and PRO-SCALE's pixel decoders: tokens of three levels attend to each other.

Mask2Former's encoder has six layers over all tokens. PRO-SCALE's (Aich et al., "Progressive Token Length Scaling in
Transformer Encoders for Efficient Universal Segmentation", ICLR 2025) starts with the few tokens of stride 32; later
layers add the tokens of stride 16 and finally the many of stride 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import FeedForward
from pem_edge.pem.layers.deformable_attention import DeformableAttention, LevelSize
from pem_edge.pem.layers.positions import sine_positions

Depths = tuple[int, int, int]
"""Number of layers over the tokens of stride 32 alone, over those of strides 32 and 16, and over all."""

TEMPERATURE = 0.1
"""Factor of the logits in `TokenRecalibration`, as published."""


class EncoderLayer(nn.Module):
    """Deformable attention and feed-forward, each followed by LayerNorm."""

    def __init__(self, width: int, heads: int, feedforward: int, levels: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, levels)
        self.norm = nn.LayerNorm(width)
        self.feedforward = FeedForward(width, feedforward, norm_first=False)

    def forward(self, tokens: Tensor, positions: Tensor, sizes: Sequence[LevelSize]) -> Tensor:
        """Return the updated tokens, (N, S, C); arguments as in `DeformableAttention.forward`."""
        tokens = self.norm(tokens + self.attention(tokens, positions, sizes))
        refined: Tensor = self.feedforward(tokens)
        return refined


class TokenRecalibration(nn.Module):
    """PRO-SCALE's token re-calibration (TRC): scales the tokens of a coarse level by weights from the finest level.

    The weights are a sigmoid of a linear layer on the finest level, resized to the coarse one. As in the published
    code, the finest level's tokens (N, S, C) are reshaped, not transposed, to a map (N, C, H, W) for resizing, and back
    to tokens. That mixes positions and channels, but checkpoints are trained with it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)

    def forward(self, tokens: Tensor, size: LevelSize, finest: Tensor, finest_size: LevelSize) -> Tensor:
        """Return the scaled ``tokens``, (N, S, C).

        Args:
            tokens: Tokens of a coarse level, (N, S, C).
            size: Height and width of that level.
            finest: Tokens of the finest level, (N, S', C).
            finest_size: Height and width of the finest level.
        """
        n, _, width = finest.shape
        resized = F.interpolate(finest.reshape(n, width, *finest_size), size, mode="bilinear")
        weights: Tensor = self.linear(resized.reshape(tokens.shape))
        return tokens * (TEMPERATURE * weights).sigmoid()


class TokenEncoder(nn.Module):
    """Encoder layers over the tokens of one, two and three levels, coarsest first; ``depths`` gives their numbers."""

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
        """Return the encoded ``levels``, maps (N, C, H, W), coarsest first, in the same shapes."""
        sizes: list[LevelSize] = [(level.shape[2], level.shape[3]) for level in levels]
        added = self._recalibrate([level.flatten(2).transpose(1, 2) for level in levels], sizes)
        positions = [self._positions(i, level) for i, level in enumerate(levels)]
        layers = iter(self.layers)
        seen: list[Tensor] = []
        for stage, depth in enumerate(self.depths, start=1):
            tokens, encoding = torch.cat([*seen, added[stage - 1]], 1), torch.cat(positions[:stage], 1)
            for layer in islice(layers, depth):
                tokens = layer(tokens, encoding, sizes[:stage])
            seen = [tokens]
        parts = torch.split(tokens, [height * width for height, width in sizes], 1)
        return [part.transpose(1, 2).reshape(level.shape) for part, level in zip(parts, levels, strict=True)]

    def _recalibrate(self, tokens: list[Tensor], sizes: list[LevelSize]) -> list[Tensor]:
        if self.recalibration is None:
            return tokens
        finest = tokens[-1], sizes[-1]
        coarse = zip(tokens[:-1], sizes[:-1], strict=True)
        return [*(self.recalibration(x, size, *finest) for x, size in coarse), tokens[-1]]

    def _positions(self, index: int, level: Tensor) -> Tensor:
        """Return the position encoding plus the embedding of the level, as tokens (1, H W, C)."""
        rows, columns = sine_positions(level.shape[2], level.shape[3], level.shape[1], level.device)
        positions = rows + columns + self.level_embeddings[index][:, None, None]
        return positions.flatten(2).transpose(1, 2).to(level.dtype)
