"""Swin Transformer (Liu et al., ICCV 2021): attention within windows, shifted in every second block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.backbones.base import Backbone
from pem_edge.pem.layers.attention import BiasedAttention

WINDOW = 7
SHIFT = WINDOW // 2

PATCH = 4

APART = -100.0
"""Added to the score of two pixels that only a shift has brought into one window; the published value."""


class WindowAttention(nn.Module):
    """Multi-head attention within windows of 7x7 pixels, with a bias for each relative position.

    Maps are filled up to whole windows with pixels of zeros, which take part, as published. With ``shifted`` the
    windows begin 3 pixels further down and to the right, and those that reach beyond the map go on at its other side.
    """

    index: Tensor
    rows_apart: Tensor
    columns_apart: Tensor

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shifted = heads, shifted
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = BiasedAttention()
        self.output = nn.Linear(width, width)
        self.position_biases = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position_biases, std=0.02)
        rows, columns = torch.arange(WINDOW).repeat_interleave(WINDOW), torch.arange(WINDOW).repeat(WINDOW)
        down, right = (place[:, None] - place + WINDOW - 1 for place in (rows, columns))
        self.register_buffer("index", down * (2 * WINDOW - 1) + right, persistent=False)
        for name, place in (("rows_apart", rows), ("columns_apart", columns)):
            inside = place < WINDOW - SHIFT
            self.register_buffer(name, inside[:, None] != inside, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, H, W, C) to (N, H, W, C)."""
        _, height, width, _ = x.shape
        down, right = ((side + WINDOW - 1) // WINDOW for side in (height, width))
        q, k, v = self._into_windows(x, down, right).unbind()
        biases = [self.position_biases[self.index].permute(2, 0, 1)]
        if self.shifted:
            biases.append(self._apart(down, right))
        attended = self.attention(q, k.transpose(3, 4), v, *biases)
        output: Tensor = self.output(self._from_windows(attended, down, right)[:, :height, :width])
        return output

    def _into_windows(self, x: Tensor, down: int, right: int) -> Tensor:
        """Return queries, keys and values, (3, N, windows, heads, 49, D)."""
        n, height, width, channels = x.shape
        x = F.pad(x, (0, 0, 0, right * WINDOW - width, 0, down * WINDOW - height))
        if self.shifted:
            x = x.roll((-SHIFT, -SHIFT), (1, 2))
        projected = F.linear(x, self._scaled(self.qkv.weight), self._scaled(self.qkv.bias))
        split = projected.reshape(n, down, WINDOW, right, WINDOW, 3, self.heads, channels // self.heads)
        return split.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).flatten(2, 3)

    def _from_windows(self, attended: Tensor, down: int, right: int) -> Tensor:
        """Return (N, windows, heads, 49, D) to a map of whole windows."""
        split = attended.reshape(attended.shape[0], down, right, self.heads, WINDOW, WINDOW, -1)
        whole = split.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return whole.roll((SHIFT, SHIFT), (1, 2)) if self.shifted else whole

    def _scaled(self, parameter: Tensor) -> Tensor:
        """Return a weight or bias of the projection, with attention's scale in the part of the queries."""
        width = self.output.in_features
        factors = torch.ones_like(parameter)
        factors[:width] = (width // self.heads) ** -0.5
        return parameter * factors

    def _apart(self, down: int, right: int) -> Tensor:
        """Return what to add to the scores of shifted windows, (down right, 1, 49, 49).

        Only the last windows hold pixels of several regions.
        """
        last_row, last_column = (torch.arange(count, device=self.index.device) == count - 1 for count in (down, right))
        apart = last_row[:, None, None, None] & self.rows_apart | last_column[:, None, None] & self.columns_apart
        return torch.where(apart, APART, 0.0).flatten(0, 1).unsqueeze(1).to(self.position_biases.dtype)


class Block(nn.Module):
    """Window attention and an MLP, pre-norm."""

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, shifted=shifted)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, H, W, C) to (N, H, W, C)."""
        x = x + self.attention(self.norm1(x))
        mixed: Tensor = x + self.contract(F.gelu(self.expand(self.norm2(x))))
        return mixed


class PatchMerging(nn.Module):
    """Halves a map: the four pixels of 2x2 side by side, normalized and projected to twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, H, W, C) to (N, H/2, W/2, 2C)."""
        n, height, width, channels = x.shape
        pairs = x.reshape(n, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
        halved: Tensor = self.reduction(self.norm(pairs.flatten(3)))
        return halved


class SwinTransformer(Backbone):
    """Patches of 4x4 pixels, then four stages of ``depths`` blocks, ``base`` times 1, 2, 4 and 8 wide."""

    def __init__(
        self, base: int = 96, depths: tuple[int, ...] = (2, 2, 6, 2), heads: tuple[int, ...] = (3, 6, 12, 24)
    ) -> None:
        super().__init__()
        self.channels = (base, 2 * base, 4 * base, 8 * base)
        self.patches = nn.Conv2d(3, base, PATCH, stride=PATCH)
        self.patch_norm = nn.LayerNorm(base)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, count, shifted=i % 2 == 1) for i in range(depth)))
            for width, depth, count in zip(self.channels, depths, heads, strict=True)
        )
        self.merges = nn.ModuleList(PatchMerging(width) for width in self.channels[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in self.channels)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the maps at strides 4, 8, 16 and 32, from normalized ``pixels`` (N, 3, H, W)."""
        x = self.patch_norm(self.patches(pixels).permute(0, 2, 3, 1))
        maps = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            x = stage(x if i == 0 else self.merges[i - 1](x))
            maps.append(norm(x).permute(0, 3, 1, 2))
        stride4, stride8, stride16, stride32 = maps
        return stride4, stride8, stride16, stride32
