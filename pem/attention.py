"""The three parts of a decoder layer: prototype-based cross-attention, self-attention, feed-forward."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -1e4
"""Similarity of a pixel that is out: far below any product of normalised vectors, and finite in half precision."""


def unit(x: Tensor, dim: int) -> Tensor:
    """``x`` divided by its L2 norm along ``dim``, or by 1e-12 where that is larger."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return x / norm.clamp_min(1e-12)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, Q, C) to (N, heads, Q, C / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


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
        keys = unit(keys.flatten(2), dim=1)
        targets = unit(self.query_linear(self.query_norm(queries + positions)), dim=2)
        prototypes = self._prototypes(keys, targets, mask_logits.flatten(2))
        # Over the queries, as the published code has it; the paper says over the channels.
        attended = unit(self.projection(prototypes * targets), dim=1) * self.alpha + prototypes
        updated: Tensor = queries + self.output(attended)
        return updated

    def _prototypes(self, keys: Tensor, targets: Tensor, mask_logits: Tensor) -> Tensor:
        """Per query and head the key of highest similarity, (N, Q, C), among pixels whose mask logit is not below 0.

        A query with every pixel out takes pixel 0; if all queries are so, no pixel is out.
        """
        n, width, pixels = keys.shape
        keys = keys.reshape(n, self.heads, width // self.heads, pixels)
        similarity = split_heads(targets, self.heads) @ keys
        peak = mask_logits.amax(dim=2)
        floor = torch.where(peak.amax(dim=1, keepdim=True) < 0, float("-inf"), 0.0)
        # Adding zero keeps the order of the pixels that are in, and costs less than choosing between two tensors.
        penalty = torch.where(mask_logits < floor.unsqueeze(2), MASKED, 0.0)
        best = (similarity + penalty.unsqueeze(1)).argmax(dim=3)
        # Which of equal values an engine's argmax returns is up to the engine, so pixel 0 is asked for outright.
        best = torch.where((peak < floor).unsqueeze(1), 0, best)
        prototypes = keys.gather(3, best.unsqueeze(2).expand(-1, -1, width // self.heads, -1))
        return prototypes.reshape(n, width, -1).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention among the queries, pre-norm; positions are added to queries and keys, not values.

    The projection is linear, so what the positions add to its result does not depend on the image: it is a constant.
    """

    placed: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.register_buffer("placed", torch.tensor([1.0, 1.0, 0.0]).repeat_interleave(width), persistent=False)

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """``queries`` (N, Q, C), ``positions`` (1, Q, C); returns (N, Q, C)."""
        placed = F.linear(positions, self.qkv.weight, None) * self.placed
        q, k, v = (self.qkv(self.norm(queries)) + placed).chunk(3, dim=2)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v)
        updated: Tensor = queries + self.output(attended.transpose(1, 2).flatten(2))
        return updated


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them, pre-norm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, queries: Tensor) -> Tensor:
        """``queries`` (N, Q, C); returns (N, Q, C)."""
        updated: Tensor = queries + self.contract(F.relu(self.expand(self.norm(queries))))
        return updated
