"""Mask2Former's pixel decoder: a transformer encoder over strides 32, 16 and 8, and one FPN step to stride 4."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem.layers.blocks import GROUPS, ConvGroupNorm
from pem_edge.pem.pixel_decoders.encoder import Depths, TokenEncoder


class LightPixelEmbedding(nn.Module):
    """PRO-SCALE's light pixel embedding (LPE): 3x3 max pooling in place of a 3x3 convolution, and GroupNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.norm = nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of ``x`` (N, C, H, W), of the same shape."""
        normalized: Tensor = self.norm(self.pool(x))
        return normalized


class TransformerPixelDecoder(nn.Module):
    """Turns backbone maps into mask features at stride 4 and level maps at strides 32, 16 and 8.

    The last 1x1 convolution of the mask features is left to `pem.decoder.ProjectingMaskProduct`. With ``progressive``,
    this is PRO-SCALE's pixel decoder, which has `TokenRecalibration` and `LightPixelEmbedding`. ``depths`` gives the
    encoder layers as in `TokenEncoder`.
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
        """Return mask features and level maps.

        Args:
            features: The backbone's maps at strides 4, 8, 16 and 32.

        Returns:
            Mask features (N, M, H/4, W/4) before their last convolution, and level maps (N, C, h, w) at strides 32, 16
            and 8.
        """
        finest, *others = features
        projected = [project(x) for project, x in zip(self.projections, reversed(others), strict=True)]
        levels = self.encoder(projected)
        fine = self.lateral(finest)
        fine = fine + F.interpolate(levels[-1], fine.shape[2:], mode="bilinear")
        return F.relu(self.embedding(fine)), levels
