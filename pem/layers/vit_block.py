"""The block of a Vision Transformer (Dosovitskiy et al., ICLR 2021) with LayerScale (Touvron et al., ICCV 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.attention import split_heads
from pem_edge.pem.layers.blocks import gelu

EPSILON = 1e-6
"""Epsilon of every LayerNorm, as published."""


class MultiHeadAttention(nn.Module):
    """Multi-head scaled dot-product attention of projected tokens, as a module that an export can replace.

    Args:
        heads: Number of attention heads.
        scale: Factor of the attention logits; None for one over the root of a head's channels.
    """

    def __init__(self, heads: int, scale: float | None = None) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the attended values (N, T, C) from ``q`` (N, T, C), ``k`` (N, S, C) and ``v`` (N, S, C)."""
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, scale=self.scale).transpose(1, 2).flatten(2)


class LayerScale(nn.Module):
    """Multiplies each channel by a learned factor."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, (..., C), scaled."""
        return x * self.gamma


class ViTBlock(nn.Module):
    """Self-attention and an MLP, each with a LayerNorm before it, LayerScale after it, and a shortcut around it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = MultiHeadAttention(heads)
        self.output = nn.Linear(width, width)
        self.scale1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.scale2 = LayerScale(width)

    def forward(self, x: Tensor, kept: int | None = None) -> Tensor:
        """Return the features of the first ``kept`` of the tokens ``x``, (N, T, C); of all for None.

        The others are attended to, but have no features after this block.
        """
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=2)
        attended = self.attention(q[:, :kept], k, v)
        x = x[:, :kept] + self.scale1(self.output(attended))
        mixed: Tensor = x + self.scale2(self.contract(gelu(self.expand(self.norm2(x)))))
        return mixed
