"""The transformer decoder: queries attend to one level after another and become classes and masks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.attention import MaskedCrossAttention, Memory, PrototypeCrossAttention, SelfAttention
from pem_edge.pem.layers.blocks import MLP, FeedForward
from pem_edge.pem.layers.positions import sine_positions

LEVELS = 3
"""Number of level maps, at strides 32, 16 and 8."""


class DecoderLayer(nn.Module):
    """A decoder layer: cross-attention to one level, self-attention among the queries, and a feed-forward network."""

    def __init__(self, cross_attention: nn.Module, self_attention: SelfAttention, feedforward: FeedForward) -> None:
        super().__init__()
        self.cross_attention = cross_attention
        self.self_attention = self_attention
        self.feedforward = feedforward

    def forward(self, queries: Tensor, positions: Tensor, memory: Memory, mask_logits: Tensor) -> Tensor:
        """Return the queries after this layer, (N, Q, C).

        Args:
            queries: The queries before this layer, (1 or N, Q, C).
            positions: The learned position embedding of each query, (1, Q, C).
            memory: The level that the queries attend to, of H x W pixels.
            mask_logits: The masks predicted before this layer, (N, Q, H, W), at the size of the level.
        """
        queries = self.cross_attention(queries, positions, memory, mask_logits)
        attended: Tensor = self.feedforward(self.self_attention(queries, positions))
        return attended


def prototype_layer(width: int, heads: int, feedforward: int) -> DecoderLayer:
    """Return a layer of PEM's decoder.

    Args:
        width: Channels of the queries.
        heads: Number of attention heads.
        feedforward: Hidden channels of the feed-forward network.
    """
    return DecoderLayer(
        PrototypeCrossAttention(width, heads), SelfAttention(width, heads), FeedForward(width, feedforward)
    )


def masked_layer(width: int, heads: int, feedforward: int) -> DecoderLayer:
    """Return a layer of Mask2Former's decoder; arguments as in `prototype_layer`."""
    return DecoderLayer(
        MaskedCrossAttention(width, heads),
        SelfAttention(width, heads, norm_first=False),
        FeedForward(width, feedforward, norm_first=False),
    )


class MaskProduct(nn.Module):
    """Computes mask logits: the dot product of each query's mask embedding with the mask features of each pixel."""

    def forward(self, embeddings: Tensor, features: Tensor) -> Tensor:
        """Return mask logits (N, Q, H, W) from ``embeddings`` (N, Q, M) and ``features`` (N, M, H, W)."""
        masks: Tensor = embeddings @ features.flatten(2)
        return masks.reshape(*masks.shape[:2], *features.shape[2:])


class ProjectingMaskProduct(MaskProduct):
    """A `MaskProduct` that also applies the last convolution of the mask features, which is 1x1.

    Convolution and product are both linear, so the convolution can be applied to the mask embeddings instead. There are
    far fewer queries than pixels, so it costs almost nothing there.
    """

    def __init__(self, mask_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(mask_width, mask_width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(mask_width))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embeddings: Tensor, features: Tensor) -> Tensor:
        """Return mask logits (N, Q, H, W) from ``embeddings`` (N, Q, M) and ``features`` (N, M, H, W)."""
        shift = embeddings @ self.bias
        return super().forward(embeddings @ self.weight.flatten(1), features) + shift[..., None, None]


class Decoder(nn.Module):
    """Queries, the layers that they go through, and the heads that turn them into classes and masks.

    Attributes:
        query_features: The learned queries, (Q, C).
        layers: The layers.
        norm: The LayerNorm before the heads.
        class_head: Turns queries into class logits.
        mask_head: Turns queries into mask embeddings.
        mask_product: Turns mask embeddings and mask features into mask logits.
    """

    def __init__(
        self,
        *,
        layers: Iterable[nn.Module],
        mask_head: MLP,
        mask_product: MaskProduct,
        width: int,
        num_queries: int,
        num_classes: int,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.query_features = nn.Parameter(torch.randn(num_queries, width))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width, epsilon)
        self.class_head = nn.Linear(width, num_classes + 1)
        self.mask_head = mask_head
        self.mask_product = mask_product

    def predict(self, state: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

        Args:
            state: Queries after any of the layers, (N, Q, C).
            mask_features: (N, M, H/4, W/4).
        """
        normalized = self.norm(state)
        return self.class_head(normalized), self.mask_product(self.mask_head(normalized), mask_features)


class MaskDecoder(Decoder):
    """Turns level maps and mask features into class logits and mask logits.

    Layer i attends to level i mod 3, in the order of strides 32, 16 and 8, within the masks predicted before it.
    ``projections``, one per level, bring the level maps to the decoder's width.
    """

    def __init__(
        self,
        *,
        projections: Iterable[nn.Module],
        layers: Iterable[DecoderLayer],
        mask_head: MLP,
        mask_product: MaskProduct,
        width: int,
        num_queries: int,
        num_classes: int,
    ) -> None:
        super().__init__(
            layers=layers,
            mask_head=mask_head,
            mask_product=mask_product,
            width=width,
            num_queries=num_queries,
            num_classes=num_classes,
        )
        self.projections = nn.ModuleList(projections)
        self.level_embeddings = nn.Parameter(torch.randn(LEVELS, width))
        self.query_positions = nn.Parameter(torch.randn(num_queries, width))

    def forward(self, levels: list[Tensor], mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

        Args:
            levels: Level maps, coarsest first.
            mask_features: (N, M, H/4, W/4).
        """
        return self.predict(self.states(levels, mask_features)[-1], mask_features)

    def states(self, levels: list[Tensor], mask_features: Tensor) -> list[Tensor]:
        """Return the queries before the first layer, (1, Q, C), and after each layer, (N, Q, C)."""
        memories = [self._memory(i, level) for i, level in enumerate(levels)]
        # Resizing commutes with the product, so the masks for attention are predicted at the size of the level instead
        # of being predicted at stride 4 and resized. Halving bilinearly is average pooling over 2x2 pixels.
        features = [F.interpolate(mask_features, level.shape[2:], mode="bilinear") for level in levels[:-1]]
        features.append(F.avg_pool2d(mask_features, 2))
        states = [self.query_features.unsqueeze(0)]
        for i, layer in enumerate(self.layers):
            mask_logits = self.mask_product(self.mask_head(self.norm(states[-1])), features[i % LEVELS])
            states.append(layer(states[-1], self.query_positions.unsqueeze(0), memories[i % LEVELS], mask_logits))
        return states

    def _memory(self, index: int, level: Tensor) -> Memory:
        rows, columns = sine_positions(level.shape[2], level.shape[3], self.level_embeddings.shape[1], level.device)
        projected: Tensor = self.projections[index](level)
        embedding = self.level_embeddings[index][None, :, None, None]
        rows = rows + embedding
        return Memory(projected + embedding, projected + rows.to(projected.dtype) + columns.to(projected.dtype))
