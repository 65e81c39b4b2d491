"""EoMT (Kerssies et al., "Your ViT is Secretly an Image Segmentation Model", CVPR 2025).

Queries join the tokens of a Vision Transformer before its last blocks. Training starts with masked attention and
anneals the masks away, so that a trained model has none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pem_edge.pem.backbones.vit import PATCH, Grid, VisionTransformer, grid_of
from pem_edge.pem.decoder import Decoder, MaskProduct
from pem_edge.pem.layers.blocks import MLP, gelu
from pem_edge.pem.layers.vit_block import EPSILON, ViTBlock
from pem_edge.pem.model import MaskClassifier

UPSCALINGS = 2
"""Number of doublings from the patches' stride, 16, to that of the mask features, 4."""


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized ``x``, (N, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Upscaling(nn.Module):
    """Doubles a map: a transposed convolution, GELU, a depthwise convolution, and LayerNorm over the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm = ChannelNorm(width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` (N, C, H, W) to (N, C, 2H, 2W)."""
        doubled: Tensor = self.norm(self.depthwise(gelu(self.expand(x))))
        return doubled


class QueryDecoder(Decoder):
    """The last blocks of EoMT, in which queries join the tokens, and the heads.

    Args:
        width: Channels C of a token.
        heads: Number of attention heads.
        depth: Number of blocks.
        num_queries: Number Q of queries.
        num_classes: Number K of classes, without "no object".
    """

    def __init__(self, *, width: int, heads: int, depth: int, num_queries: int, num_classes: int) -> None:
        super().__init__(
            layers=(ViTBlock(width, heads) for _ in range(depth)),
            mask_head=MLP(width, width, gelu),
            mask_product=MaskProduct(),
            width=width,
            num_queries=num_queries,
            num_classes=num_classes,
            epsilon=EPSILON,
        )
        self.heads = heads
        self.upscalings = nn.Sequential(*(Upscaling(width) for _ in range(UPSCALINGS)))

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """Return class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4).

        Args:
            tokens: Tokens (N, T, C), those of the patches of ``grid`` first.
            grid: Rows and columns of patches, H/16 and W/16.
        """
        rows, columns = grid
        num_queries, pixels = self.query_features.shape[0], rows * columns
        x = torch.cat([self.query_features.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        for block in self.layers[:-1]:
            x = block(x)
        # Nothing reads the other tokens any more.
        x = self.layers[-1](x, num_queries + pixels)
        patches = self.norm(x[:, num_queries:]).transpose(1, 2).unflatten(2, grid)
        return self.predict(x[:, :num_queries], self.upscalings(patches))


class EoMT(MaskClassifier):
    """EoMT of any size; see `MaskClassifier`."""

    multiple_of = PATCH
    pad_value = (0, 0, 0)
    sizes_vary = False
    windowed = ("semantic",)
    backbone: VisionTransformer
    decoder: QueryDecoder

    @property
    def trained_size(self) -> tuple[int, int]:
        """The size of the images that the positions were learned for, height and width in pixels."""
        side = PATCH * self.backbone.positions.side
        return side, side

    def segment(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` returns, from ``pixels`` that are already normalized, float (N, 3, H, W)."""
        logits, masks = self.decoder(self.backbone(pixels), grid_of(pixels.shape[2], pixels.shape[3]))
        return logits, masks
