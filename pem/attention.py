"""The three parts of a decoder layer: prototype-based cross-attention, self-attention, feed-forward."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -1e4
"""Similarity of a pixel that is out: far below any product of normalised vectors, and finite in half precision."""


class PrototypeCrossAttention(nn.Module):
    """PEM-CA (paper, section 3.2): each query attends, per head, to the one pixel most similar to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.memory_bn = nn.BatchNorm2d(width)
        self.memory_conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.memory_linear = nn.Linear(width, width)
        self.query_norm = nn.LayerNorm(width)
        self.query_linear = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.alpha = nn.Parameter(torch.ones(1, 1, width))

    def forward(self, queries: Tensor, positions: Tensor, memory: Tensor, mask_logits: Tensor) -> Tensor:
        """``queries`` (1 or N, Q, C), ``memory`` (N, C, H, W), ``mask_logits`` (N, Q, H, W); returns (N, Q, C)."""
        keys = self.memory_conv(self.memory_bn(memory))
        keys = F.conv2d(keys, self.memory_linear.weight[:, :, None, None], self.memory_linear.bias)
        keys = F.normalize(keys.flatten(2), dim=1)
        targets = F.normalize(self.query_linear(self.query_norm(queries + positions)), dim=-1)
        prototypes = self._prototypes(keys, targets, mask_logits.flatten(2))
        # Over the queries, as the published code has it; the paper says over the channels.
        attended = F.normalize(self.projection(prototypes * targets), dim=1) * self.alpha + prototypes
        return queries + self.output(attended)

    def _prototypes(self, keys: Tensor, targets: Tensor, mask_logits: Tensor) -> Tensor:
        """Per query and head the key of highest similarity, (N, Q, C), among pixels whose mask logit is not below 0.

        A query with every pixel out takes pixel 0; if all queries are so, no pixel is out.
        """
        inside = mask_logits >= 0
        seen = inside.any(dim=-1, keepdim=True)
        nothing_seen = ~seen.any(dim=1, keepdim=True)
        per_head_keys = keys.unflatten(1, (self.heads, -1))
        per_head_targets = targets.unflatten(2, (self.heads, -1)).transpose(1, 2)
        similarity = per_head_targets @ per_head_keys
        similarity = torch.where((inside | nothing_seen).unsqueeze(1), similarity, MASKED)
        # Which of equal values an engine's argmax returns is up to the engine, so pixel 0 is asked for outright.
        best = torch.where((seen | nothing_seen).squeeze(-1).unsqueeze(1), similarity.argmax(dim=-1), 0)
        index = best.unsqueeze(2).expand(-1, -1, per_head_keys.shape[2], -1)
        return per_head_keys.gather(3, index).flatten(1, 2).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention among the queries, pre-norm; positions are added to queries and keys, not values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """``queries`` (N, Q, C), ``positions`` (1, Q, C); returns (N, Q, C)."""
        values = self.norm(queries)
        placed = values + positions
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        q, k, v = (
            self._split(F.linear(x, weight, bias))
            for x, weight, bias in zip((placed, placed, values), weights, biases, strict=True)
        )
        attended = F.scaled_dot_product_attention(q, k, v)
        return queries + self.output(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them, pre-norm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, queries: Tensor) -> Tensor:
        """``queries`` (N, Q, C); returns (N, Q, C)."""
        return queries + self.contract(F.relu(self.expand(self.norm(queries))))
