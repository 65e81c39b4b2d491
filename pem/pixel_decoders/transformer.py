"""Mask2Former's pixel decoder: a transformer encoder over strides 32, 16 and 8, and a step of FPN to stride 4."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import GROUPS, ConvGroupNorm
from pem_edge.pem.pixel_decoders.encoder import Depths, TokenEncoder


class LightPixelEmbedding(nn.Module):
    """PRO-SCALE's LPE: 3x3 max pooling of stride 1 and GroupNorm in the place of a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.norm = nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x`` (N, C, H, W) after this block."""
        normalized: Tensor = self.norm(self.pool(x))
        return normalized


class TransformerPixelDecoder(nn.Module):
    """From backbone maps to mask features at stride 4 and one map a level at strides 32, 16 and 8.

    The mask features lack their last 1x1 convolution, which is the decoder's (`pem.decoder.ProjectingMaskProduct`).
    ``progressive`` is PRO-SCALE's: recalibrated tokens and the light pixel embedding.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int],
        *,
        width: int,
        heads: int,
        feedforward: int,
        depths: Depths,
        progressive: bool,
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleList(ConvGroupNorm(c, width, bias=True) for c in reversed(channels[1:]))
        self.encoder = TokenEncoder(width, heads, feedforward, depths, recalibrated=progressive)
        self.lateral = ConvGroupNorm(channels[0], width)
        self.embedding = LightPixelEmbedding(width) if progressive else ConvGroupNorm(width, width, 3)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return mask features (N, M, H/4, W/4) and level maps, coarsest first, from backbone maps, finest first."""
        finest, *others = features
        projected = [project(x) for project, x in zip(self.projections, reversed(others), strict=True)]
        levels = self.encoder(projected)
        fine = self.lateral(finest)
        fine = fine + F.interpolate(levels[-1], fine.shape[2:], mode="bilinear")
        return F.relu(self.embedding(fine)), levels
