"""Swin Transformer (Liu et al., ICCV 2021): attention within windows, which every second block shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.backbones.base import Backbone
from pem_edge.pem.layers.attention import BiasedAttention
from pem_edge.pem.layers.blocks import gelu

PATCH = 4
"""Height and width of a patch in pixels."""

MASK_VALUE = -100.0
"""Added to the attention logit of two pixels that share a window only because of the cyclic shift, as published."""


class WindowAttention(nn.Module):
    """Multi-head attention within windows of P = ``window`` x ``window`` pixels, with a bias per relative position.

    Maps are zero-padded to whole windows at the bottom and right; padding pixels are attended to, as published. With
    ``shifted``, the map is shifted cyclically by half a window up and to the left before it is cut into windows. Pixels
    from opposite sides of the map, which then share a window, do not attend to each other.
    """

    index: Tensor
    """Row of ``position_biases`` for each pair of pixels in a window, (P, P)."""

    rows_separated: Tensor
    """Whether rows of two pixels in a window at the bottom come from opposite sides of the map, bool (P, P)."""

    columns_separated: Tensor
    """The same for columns, in a window at the right."""

    def __init__(self, width: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.shift = window // 2 if shifted else 0
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = BiasedAttention()
        self.output = nn.Linear(width, width)
        self.position_biases = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position_biases, std=0.02)
        rows, columns = torch.arange(window).repeat_interleave(window), torch.arange(window).repeat(window)
        dy, dx = (position[:, None] - position + window - 1 for position in (rows, columns))
        self.register_buffer("index", dy * (2 * window - 1) + dx, persistent=False)
        for name, position in (("rows_separated", rows), ("columns_separated", columns)):
            before_edge = position < window - self.shift
            self.register_buffer(name, before_edge[:, None] != before_edge, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended map, (N, H, W, C), of ``x`` (N, H, W, C)."""
        _, height, width, _ = x.shape
        rows, columns = ((side + self.window - 1) // self.window for side in (height, width))
        q, k, v = self._project_windows(x, rows, columns).unbind()
        biases = [self.position_biases[self.index].permute(2, 0, 1)]
        if self.shift:
            biases.append(self._shift_mask(rows, columns))
        attended = self.attention(q, k.transpose(3, 4), v, *biases)
        output: Tensor = self.output(self._merge_windows(attended, rows, columns)[:, :height, :width])
        return output

    def _project_windows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Return the queries, keys and values of ``rows`` x ``columns`` windows, (3, N, windows, heads, P, D)."""
        (n, height, width, channels), side = x.shape, self.window
        x = F.pad(x, (0, 0, 0, columns * side - width, 0, rows * side - height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        projected = F.linear(x, self._scale_queries(self.qkv.weight), self._scale_queries(self.qkv.bias))
        split = projected.reshape(n, rows, side, columns, side, 3, self.heads, channels // self.heads)
        return split.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).flatten(2, 3)

    def _merge_windows(self, attended: Tensor, rows: int, columns: int) -> Tensor:
        """Return ``attended`` (N, windows, heads, P, D) as a map of whole windows, shifted back."""
        split = attended.reshape(attended.shape[0], rows, columns, self.heads, self.window, self.window, -1)
        whole = split.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return whole.roll((self.shift, self.shift), (1, 2)) if self.shift else whole

    def _scale_queries(self, parameter: Tensor) -> Tensor:
        """Return the weight or bias of ``qkv``, its part for the queries multiplied by the attention scale."""
        width = self.output.in_features
        return torch.cat([parameter[:width] * (width // self.heads) ** -0.5, parameter[width:]])

    def _shift_mask(self, rows: int, columns: int) -> Tensor:
        """Return what to add to the attention logits of shifted windows, (windows, 1, P, P).

        Only the windows of the last row and column contain pixels from opposite sides of the map.
        """
        device = self.index.device
        in_last_row, in_last_column = (torch.arange(n, device=device) == n - 1 for n in (rows, columns))
        across_rows = torch.logical_and(in_last_row[:, None, None, None], self.rows_separated)
        across_columns = torch.logical_and(in_last_column[:, None, None], self.columns_separated)
        mask = torch.where(torch.logical_or(across_rows, across_columns), MASK_VALUE, 0.0)
        return mask.flatten(0, 1).unsqueeze(1).to(self.position_biases.dtype)


class Block(nn.Module):
    """A Swin block: window attention and an MLP, each with a LayerNorm before it and a shortcut around it."""

    def __init__(self, width: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window, shifted=shifted)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x`` (N, H, W, C), of the same shape."""
        x = x + self.attention(self.norm1(x))
        mixed: Tensor = x + self.contract(gelu(self.expand(self.norm2(x))))
        return mixed


class PatchMerging(nn.Module):
    """Halves a map: concatenates the channels of 2x2 pixels, normalizes them and projects them to twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, H, W, C) to (N, H/2, W/2, 2C)."""
        n, height, width, channels = x.shape
        # The published weights expect the pixels of a 2x2 group column by column.
        groups = x.reshape(n, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
        halved: Tensor = self.reduction(self.norm(groups.flatten(3)))
        return halved


class SwinTransformer(Backbone):
    """Swin Transformer: an embedding of 4x4 patches and four stages of blocks; the defaults are Swin-T's.

    The stages have 1, 2, 4 and 8 times ``base`` channels. ``depths`` and ``heads`` give the number of blocks and of
    attention heads per stage, ``window`` the height and width of their windows in pixels.
    """

    def __init__(
        self,
        base: int = 96,
        depths: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        window: int = 7,
    ) -> None:
        super().__init__()
        self.channels = (base, 2 * base, 4 * base, 8 * base)
        self.patches = nn.Conv2d(3, base, PATCH, stride=PATCH)
        self.patch_norm = nn.LayerNorm(base)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, count, window, shifted=i % 2 == 1) for i in range(depth)))
            for width, depth, count in zip(self.channels, depths, heads, strict=True)
        )
        self.merges = nn.ModuleList(PatchMerging(width) for width in self.channels[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in self.channels)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps at strides 4, 8, 16 and 32 of normalized ``pixels`` (N, 3, H, W)."""
        x = self.patch_norm(self.patches(pixels).permute(0, 2, 3, 1))
        maps = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            x = stage(x if i == 0 else self.merges[i - 1](x))
            maps.append(norm(x).permute(0, 3, 1, 2))
        stride4, stride8, stride16, stride32 = maps
        return stride4, stride8, stride16, stride32
