"""The transformer decoder: queries look at one level at a time and become classes and masks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem.attention import FeedForward, PrototypeCrossAttention, SelfAttention
from pem.layers import MLP
from pem.positions import sine_positions

LEVELS = 3


class DecoderLayer(nn.Module):
    """Cross-attention, self-attention, feed-forward."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.cross_attention = PrototypeCrossAttention(width, heads)
        self.self_attention = SelfAttention(width, heads)
        self.feedforward = FeedForward(width, feedforward)

    def forward(self, queries: Tensor, positions: Tensor, memory: Tensor, mask_logits: Tensor) -> Tensor:
        """Shapes as in `PrototypeCrossAttention`."""
        queries = self.cross_attention(queries, positions, memory, mask_logits)
        attended: Tensor = self.feedforward(self.self_attention(queries, positions))
        return attended


class MaskDecoder(nn.Module):
    """From level maps and mask features to class logits and mask logits.

    Layer i looks at level i mod 3 in the order stride 32, 16, 8, where the mask predicted before it allows.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        width: int,
        mask_width: int,
        heads: int,
        feedforward: int,
        layers: int,
        num_queries: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(in_channels, width, 1) for _ in range(LEVELS))
        self.level_embeddings = nn.Parameter(torch.randn(LEVELS, width))
        self.query_features = nn.Parameter(torch.randn(num_queries, width))
        self.query_positions = nn.Parameter(torch.randn(num_queries, width))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.class_head = nn.Linear(width, num_classes + 1)
        self.mask_head = MLP(width, mask_width)

    def forward(self, levels: list[Tensor], mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """``levels`` coarsest first, ``mask_features`` (N, M, H/4, W/4); returns logits and masks as `PEM.forward`."""
        return self.predict(self.states(levels, mask_features)[-1], mask_features)

    def states(self, levels: list[Tensor], mask_features: Tensor) -> list[Tensor]:
        """The queries before the first layer, (1, Q, C), and after each, (N, Q, C)."""
        memories = [self._memory(i, level) for i, level in enumerate(levels)]
        # Resizing and the product with the mask embedding commute: masks for attention are predicted at the
        # level's own size instead of being predicted at stride 4 and resized. Halving is the mean of 2x2 pixels.
        features = [F.interpolate(mask_features, level.shape[2:], mode="bilinear") for level in levels[:-1]]
        features.append(F.avg_pool2d(mask_features, 2))
        states = [self.query_features.unsqueeze(0)]
        for i, layer in enumerate(self.layers):
            mask_logits = self._masks(self.norm(states[-1]), features[i % LEVELS])
            states.append(layer(states[-1], self.query_positions.unsqueeze(0), memories[i % LEVELS], mask_logits))
        return states

    def predict(self, state: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4) of one of the `states`."""
        normalized = self.norm(state)
        return self.class_head(normalized), self._masks(normalized, mask_features)

    def _masks(self, normalized: Tensor, features: Tensor) -> Tensor:
        embeddings = self.mask_head(normalized)
        masks: Tensor = embeddings @ features.flatten(2)
        return masks.reshape(*masks.shape[:2], *features.shape[2:])

    def _memory(self, index: int, level: Tensor) -> Tensor:
        rows, columns = sine_positions(level.shape[2], level.shape[3], self.level_embeddings.shape[1], level.device)
        projected: Tensor = self.projections[index](level)
        rows = rows + self.level_embeddings[index][None, :, None, None]
        return projected + rows.to(projected.dtype) + columns.to(projected.dtype)
