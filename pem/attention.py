"""The three parts of a decoder layer: prototype-based cross-attention, self-attention, feed-forward."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem.layers import UnitNorm

MASKED = -1e4
"""Similarity of a pixel that is out: far below any product of normalised vectors, and finite in half precision."""


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, Q, C) to (N, heads, Q, C / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def highest(scores: Tensor) -> Tensor:
    """The first pixel of highest score, row times W plus column, of (..., H, W).

    First its row, then its column: engines find the maxima of rows many times faster than the place of one maximum.
    """
    row = scores.amax(dim=-1).argmax(dim=-1, keepdim=True)
    width = scores.shape[-1]
    values = scores.gather(-2, row.unsqueeze(-1).expand(*row.shape, width)).squeeze(-2)
    return row.squeeze(-1) * width + values.argmax(dim=-1)


class PrototypeCrossAttention(nn.Module):
    """PEM-CA (paper, section 3.2): each query attends, per head, to the one pixel most similar to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.memory_bn = nn.BatchNorm2d(width)
        self.memory_conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.memory_linear = nn.Linear(width, width)
        self.query_norm = nn.LayerNorm(width)
        self.query_linear = nn.Linear(width, width)
        self.prototypes = PrototypeSelection(heads)
        self.projection = nn.Linear(width, width)
        self.over_queries = UnitNorm(dim=1)  # the published code's choice; the paper says over the channels
        self.output = nn.Linear(width, width)
        self.alpha = nn.Parameter(torch.ones(1, 1, width))

    def forward(self, queries: Tensor, positions: Tensor, memory: Tensor, mask_logits: Tensor) -> Tensor:
        """``queries`` (1 or N, Q, C), ``memory`` (N, C, H, W), ``mask_logits`` (N, Q, H, W); returns (N, Q, C)."""
        keys = self.memory_conv(self.memory_bn(memory))
        keys = F.conv2d(keys, self.memory_linear.weight[:, :, None, None], self.memory_linear.bias)
        targets = self.query_linear(self.query_norm(queries + positions))
        prototypes, targets = self.prototypes(keys.flatten(2), targets, mask_logits)
        attended = self.over_queries(self.projection(prototypes * targets)) * self.alpha + prototypes
        updated: Tensor = queries + self.output(attended)
        return updated


class PrototypeSelection(nn.Module):
    """Per query and head the most similar pixel among those whose mask logit is not below 0.

    A query with every pixel out takes pixel 0; if all queries are so, no pixel is out.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.unit_key, self.unit_target = UnitNorm(dim=1), UnitNorm(dim=2)

    def forward(self, keys: Tensor, targets: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """``keys`` (N, C, P) of P = H W pixels, ``targets`` (1 or N, Q, C), ``mask_logits`` (N, Q, H, W).

        Returns the prototypes, (N, Q, C), and the targets, both of unit length.
        """
        keys, targets = self.unit_key(keys), self.unit_target(targets)
        n, width, pixels = keys.shape
        keys = keys.reshape(n, self.heads, width // self.heads, pixels)
        similarity = split_heads(targets, self.heads) @ keys
        peak = mask_logits.amax(dim=(2, 3))
        floor = torch.where(peak.amax(dim=1, keepdim=True) < 0, float("-inf"), 0.0)
        # Adding zero keeps the order of the pixels that are in, and costs less than choosing between two tensors.
        penalty = torch.where(mask_logits < floor[..., None, None], MASKED, 0.0)
        best = highest(similarity.reshape(*similarity.shape[:3], *mask_logits.shape[2:]) + penalty.unsqueeze(1))
        # Which of equal values an engine's argmax returns is up to the engine, so pixel 0 is asked for outright.
        best = torch.where((peak < floor).unsqueeze(1), 0, best)
        prototypes = keys.gather(3, best.unsqueeze(2).expand(-1, -1, width // self.heads, -1))
        return prototypes.reshape(n, width, -1).transpose(1, 2), targets


class DotProductAttention(nn.Module):
    """Scaled dot-product attention of queries, keys and values, each (N, heads, Q, D)."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


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
        self.attention = DotProductAttention()
        self.output = nn.Linear(width, width)
        self.register_buffer("placed", torch.tensor([1.0, 1.0, 0.0]).repeat_interleave(width), persistent=False)

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """``queries`` (N, Q, C), ``positions`` (1, Q, C); returns (N, Q, C)."""
        placed = F.linear(positions, self.qkv.weight, None) * self.placed
        q, k, v = (self.qkv(self.norm(queries)) + placed).chunk(3, dim=2)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        attended = self.attention(q, k, v)
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
