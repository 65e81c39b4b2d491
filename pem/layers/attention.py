"""The parts of a decoder layer: cross-attention, prototype-based or masked, self-attention, feed-forward."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import UnitNorm

MASKED = -1e4
"""Similarity of a pixel that is out: far below any product of normalized vectors, and finite in half precision."""


class Memory(NamedTuple):
    """What queries attend to at one level: the map (N, C, H, W) as it is, and with its sine positions added."""

    content: Tensor
    placed: Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return (N, Q, C) to (N, heads, Q, C / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def highest(scores: Tensor) -> Tensor:
    """Return the first pixel of highest score, row times W plus column, of (..., H, W).

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

    def forward(self, queries: Tensor, positions: Tensor, memory: Memory, mask_logits: Tensor) -> Tensor:
        """Return shapes as in `pem.decoder.DecoderLayer`; looks at ``memory.placed`` alone."""
        keys = self.memory_conv(self.memory_bn(memory.placed))
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
        """Return the prototypes, (N, Q, C), and the targets, both of unit length.

        Args:
            keys: (N, C, P) of P = H W pixels.
            targets: (1 or N, Q, C).
            mask_logits: (N, Q, H, W).
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
        """Return softmax(q k) v: (..., T, D) from ``q`` (..., T, D), ``k`` (..., D, S) and ``v`` (..., S, D)."""
        return F.scaled_dot_product_attention(q, k, v)


class BiasedAttention(nn.Module):
    """Dot-product attention whose scores have summands of their own; the scale is the caller's business."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *biases: Tensor) -> Tensor:
        """Return attention (..., T, D) with biases added to the scores.

        Args:
            q: (..., T, D), scaled.
            k: (..., D, S).
            v: (..., S, D).
            biases: Each broadcasts to (..., T, S).
        """
        scores = q @ k
        for bias in biases:
            scores = scores + bias
        return scores.softmax(-1) @ v


class MaskedCrossAttention(nn.Module):
    """Masked attention (Cheng et al., "Masked-attention Mask Transformer", CVPR 2022), post-norm.

    A query attends, with every head, to the pixels whose mask logit is not below 0, or to all if there is none.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = BiasedAttention()
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, positions: Tensor, memory: Memory, mask_logits: Tensor) -> Tensor:
        """Return (N, Q, C).

        Args:
            queries: (1 or N, Q, C).
            positions: (1, Q, C).
            memory: What the queries attend to.
            mask_logits: (N, Q, H, W).
        """
        width = self.heads * self.depth
        weights, biases = (
            [parameter[i * width : (i + 1) * width] for i in range(3)] for parameter in (self.qkv.weight, self.qkv.bias)
        )
        q = F.linear(queries + positions, weights[0], biases[0]) * self.depth**-0.5
        k, v = (
            F.conv2d(pixels, weight[:, :, None, None], bias).reshape(pixels.shape[0], self.heads, self.depth, -1)
            for pixels, weight, bias in zip((memory.placed, memory.content), weights[1:], biases[1:], strict=True)
        )
        attended = self.attention(split_heads(q, self.heads), k, v.transpose(2, 3), masked_out(mask_logits))
        updated: Tensor = self.norm(queries + self.output(attended.transpose(1, 2).flatten(2)))
        return updated


def masked_out(mask_logits: Tensor) -> Tensor:
    """Return what to add to the scores (N, 1, Q, P) of P = H W pixels for ``mask_logits`` (N, Q, H, W)."""
    peak = mask_logits.amax(dim=(2, 3), keepdim=True)
    floor = torch.where(peak < 0, float("-inf"), 0.0)
    return torch.where(mask_logits < floor, MASKED, 0.0).flatten(2).unsqueeze(1)


class SelfAttention(nn.Module):
    """Multi-head self-attention among the queries; positions are added to queries and keys, not values.

    ``norm_first`` is pre-norm: what is attended to is normalized, not the sum. The projection is linear, so what the
    positions add to its result does not depend on the image: it is a constant.
    """

    placed: Tensor

    def __init__(self, width: int, heads: int, *, norm_first: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.norm_first = norm_first
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = DotProductAttention()
        self.output = nn.Linear(width, width)
        self.register_buffer("placed", torch.tensor([1.0, 1.0, 0.0]).repeat_interleave(width), persistent=False)

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """Return (N, Q, C) from ``queries`` (N, Q, C) and ``positions`` (1, Q, C)."""
        placed = F.linear(positions, self.qkv.weight, None) * self.placed
        content = self.norm(queries) if self.norm_first else queries
        q, k, v = (self.qkv(content) + placed).chunk(3, dim=2)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        attended = self.attention(q, k, v)
        updated: Tensor = queries + self.output(attended.transpose(1, 2).flatten(2))
        return updated if self.norm_first else self.norm(updated)


class FeedForward(nn.Module):
    """Two linear layers with ReLU between them; ``norm_first`` as in `SelfAttention`."""

    def __init__(self, width: int, hidden: int, *, norm_first: bool = True) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, queries: Tensor) -> Tensor:
        """Return (N, Q, C) from ``queries`` (N, Q, C)."""
        content = self.norm(queries) if self.norm_first else queries
        updated: Tensor = queries + self.contract(F.relu(self.expand(content)))
        return updated if self.norm_first else self.norm(updated)
