"""Attention layers: PEM's prototype-based cross-attention, Mask2Former's masked cross-attention, self-attention."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import UnitNorm

MASKED_LOGIT = -1e4
"""Added to the attention logit of a masked pixel: low enough to exclude it, and finite in half precision."""


class Memory(NamedTuple):
    """The map of one level that queries attend to, (N, C, H, W), without and with its position encoding."""

    content: Tensor
    with_positions: Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Map ``x`` (N, Q, C) to (N, heads, Q, C / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def argmax_pixel(x: Tensor) -> Tensor:
    """Return the index of the first maximum over the pixels of ``x`` (..., H, W), row times W plus column: (...).

    The row is found first and then the column in it: inference engines compute the maxima of rows many times faster
    than an argmax over all pixels.
    """
    row = x.amax(dim=-1).argmax(dim=-1, keepdim=True)
    width = x.shape[-1]
    values = x.gather(-2, row.unsqueeze(-1).expand(*row.shape, width)).squeeze(-2)
    return row.squeeze(-1) * width + values.argmax(dim=-1)


class PrototypeCrossAttention(nn.Module):
    """PEM's cross-attention (paper, section 3.2): per head, each query attends to the one pixel most similar to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.memory_bn = nn.BatchNorm2d(width)
        self.memory_conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.memory_linear = nn.Linear(width, width)
        self.query_norm = nn.LayerNorm(width)
        self.query_linear = nn.Linear(width, width)
        self.prototypes = PrototypeSelection(heads)
        self.projection = nn.Linear(width, width)
        self.over_queries = UnitNorm(dim=1)  # as in the published code; the paper normalizes over the channels
        self.output = nn.Linear(width, width)
        self.alpha = nn.Parameter(torch.ones(1, 1, width))

    def forward(self, queries: Tensor, positions: Tensor, memory: Memory, mask_logits: Tensor) -> Tensor:
        """Return the updated queries, (N, Q, C); arguments as in `pem.decoder.DecoderLayer.forward`."""
        keys = self.memory_conv(self.memory_bn(memory.with_positions))
        keys = F.conv2d(keys, self.memory_linear.weight[:, :, None, None], self.memory_linear.bias)
        targets = self.query_linear(self.query_norm(queries + positions))
        prototypes, targets = self.prototypes(keys.flatten(2), targets, mask_logits)
        attended = self.over_queries(self.projection(prototypes * targets)) * self.alpha + prototypes
        updated: Tensor = queries + self.output(attended)
        return updated


class PrototypeSelection(nn.Module):
    """Selects, per query and head, the most similar pixel among those whose mask logit is 0 or more.

    A query without such a pixel selects pixel 0. If no query of an image has such a pixel, no pixel is masked.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.unit_key, self.unit_target = UnitNorm(dim=1), UnitNorm(dim=2)

    def forward(self, keys: Tensor, targets: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prototypes, which are the normalized keys of the selected pixels, and the normalized targets.

        Args:
            keys: Keys of P = H W pixels, (N, C, P).
            targets: Projected queries, (1 or N, Q, C).
            mask_logits: Mask logits, (N, Q, H, W).

        Returns:
            Prototypes (N, Q, C) and targets (1 or N, Q, C).
        """
        keys, targets = self.unit_key(keys), self.unit_target(targets)
        n, width, pixels = keys.shape
        keys = keys.reshape(n, self.heads, width // self.heads, pixels)
        similarity = split_heads(targets, self.heads) @ keys
        peak = mask_logits.amax(dim=(2, 3))
        floor = torch.where(peak.amax(dim=1, keepdim=True) < 0, float("-inf"), 0.0)
        # Adding 0 or a penalty to the similarity is faster than choosing between two tensors of its size.
        penalty = torch.where(mask_logits < floor[..., None, None], MASKED_LOGIT, 0.0)
        best = argmax_pixel(similarity.reshape(*similarity.shape[:3], *mask_logits.shape[2:]) + penalty.unsqueeze(1))
        # As published, a query with all pixels masked selects pixel 0. Engines differ in which of equal values argmax
        # returns, so the index is set explicitly.
        best = torch.where((peak < floor).unsqueeze(1), 0, best)
        prototypes = keys.gather(3, best.unsqueeze(2).expand(-1, -1, width // self.heads, -1))
        return prototypes.reshape(n, width, -1).transpose(1, 2), targets


class DotProductAttention(nn.Module):
    """Scaled dot-product attention, as a module that an export can compute in single precision."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the attended values (..., T, D) from ``q`` (..., T, D), ``k`` (..., S, D) and ``v`` (..., S, D)."""
        return F.scaled_dot_product_attention(q, k, v)


class BiasedAttention(nn.Module):
    """Dot-product attention with biases on the attention logits, of queries that are already scaled."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *biases: Tensor) -> Tensor:
        """Return the attended values, (..., T, D).

        Args:
            q: Queries, multiplied by the attention scale, (..., T, D).
            k: Keys, (..., D, S).
            v: Values, (..., S, D).
            biases: Summands of the attention logits, each broadcastable to (..., T, S).
        """
        logits = q @ k
        for bias in biases:
            logits = logits + bias
        return logits.softmax(-1) @ v


class MaskedCrossAttention(nn.Module):
    """Masked cross-attention of Mask2Former (Cheng et al., CVPR 2022), followed by LayerNorm.

    A query attends to the pixels whose mask logit is 0 or more, or to all pixels if there is no such pixel.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = BiasedAttention()
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, positions: Tensor, memory: Memory, mask_logits: Tensor) -> Tensor:
        """Return the updated queries, (N, Q, C); arguments as in `pem.decoder.DecoderLayer.forward`."""
        width = self.heads * self.depth
        weights, biases = (
            [parameter[i * width : (i + 1) * width] for i in range(3)] for parameter in (self.qkv.weight, self.qkv.bias)
        )
        q = F.linear(queries + positions, weights[0], biases[0]) * self.depth**-0.5
        sources = (memory.with_positions, memory.content)
        k, v = (
            F.conv2d(pixels, weight[:, :, None, None], bias).reshape(pixels.shape[0], self.heads, self.depth, -1)
            for pixels, weight, bias in zip(sources, weights[1:], biases[1:], strict=True)
        )
        attended = self.attention(split_heads(q, self.heads), k, v.transpose(2, 3), mask_bias(mask_logits))
        updated: Tensor = self.norm(queries + self.output(attended.transpose(1, 2).flatten(2)))
        return updated


def mask_bias(mask_logits: Tensor) -> Tensor:
    """Return what masks add to attention logits, (N, 1, Q, H W), for ``mask_logits`` (N, Q, H, W)."""
    peak = mask_logits.amax(dim=(2, 3), keepdim=True)
    floor = torch.where(peak < 0, float("-inf"), 0.0)
    return torch.where(mask_logits < floor, MASKED_LOGIT, 0.0).flatten(2).unsqueeze(1)


class SelfAttention(nn.Module):
    """Multi-head self-attention among the queries; positions are added to queries and keys, not to values.

    With ``norm_first``, LayerNorm is applied before attention (pre-norm), otherwise to the sum with the shortcut
    (post-norm). Positions are projected separately, which is exact because the projection is linear: their part does
    not depend on the image, so an export can fold it into a constant.
    """

    position_factors: Tensor
    """1 for the channels of ``qkv`` that belong to queries and keys, 0 for those of values, (3 C)."""

    def __init__(self, width: int, heads: int, *, norm_first: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.norm_first = norm_first
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = DotProductAttention()
        self.output = nn.Linear(width, width)
        factors = torch.tensor([1.0, 1.0, 0.0]).repeat_interleave(width)
        self.register_buffer("position_factors", factors, persistent=False)

    def forward(self, queries: Tensor, positions: Tensor) -> Tensor:
        """Return the updated ``queries``, (N, Q, C), with their ``positions`` (1, Q, C)."""
        projected = F.linear(positions, self.qkv.weight, None) * self.position_factors
        content = self.norm(queries) if self.norm_first else queries
        q, k, v = (self.qkv(content) + projected).chunk(3, dim=2)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        attended = self.attention(q, k, v)
        updated: Tensor = queries + self.output(attended.transpose(1, 2).flatten(2))
        return updated if self.norm_first else self.norm(updated)
