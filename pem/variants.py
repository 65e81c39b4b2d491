"""The table of variants: adding one takes a row here and, if it has a new one, a backbone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn

from pem_edge.pem.backbones import STDC, Backbone, ResNet50, SwinTransformer
from pem_edge.pem.decoder import LEVELS, MaskDecoder, MaskProduct, ProjectingMaskProduct, masked_layer, prototype_layer
from pem_edge.pem.layers.blocks import MLP
from pem_edge.pem.layers.deformable_attention import POINTS
from pem_edge.pem.model import PEM
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.pem.pixel_decoders.pem import PixelDecoder
from pem_edge.pem.pixel_decoders.transformer import TransformerPixelDecoder


@dataclass(frozen=True)
class Variant:
    """A variant of PEM. The defaults are the published values.

    Attributes:
        name: Name of the variant, as on the command line.
        backbone: Builds the backbone.
        pixel_width: Channels of the pixel decoder's level maps.
        mask_width: Channels of the mask features.
        width: Channels of the decoder's queries.
        heads: Number of attention heads.
        feedforward: Hidden channels of the decoder's feed-forward networks.
        layers: Number of decoder layers.
        queries: Number of queries.
    """

    name: str
    backbone: Callable[[], Backbone]
    pixel_width: int = 128
    mask_width: int = 256
    width: int = 256
    heads: int = 8
    feedforward: int = 2048
    layers: int = 6
    queries: int = 100

    def build(self, num_classes: int, num_queries: int | None = None) -> PEM:
        """Return a model with random weights, in training mode; ``num_queries`` defaults to the variant's."""
        backbone = self.backbone()
        decoder = self._decoder(num_classes, num_queries or self.queries)
        return PEM(self.name, backbone, self._pixel_decoder(backbone), decoder)

    def with_encoder_layers_of(self, state: Mapping[str, Tensor]) -> Variant:
        """Return this variant with the encoder layers of ``state``, a model's tensors; PEM has no such encoder."""
        del state
        return self

    def _pixel_decoder(self, backbone: Backbone) -> nn.Module:
        return PixelDecoder(backbone.channels, self.pixel_width, self.mask_width)

    def _decoder(self, num_classes: int, num_queries: int) -> MaskDecoder:
        return MaskDecoder(
            projections=(nn.Conv2d(self.pixel_width, self.width, 1) for _ in range(LEVELS)),
            layers=(prototype_layer(self.width, self.heads, self.feedforward) for _ in range(self.layers)),
            mask_head=MLP(self.width, self.mask_width),
            mask_product=MaskProduct(),
            width=self.width,
            num_queries=num_queries,
            num_classes=num_classes,
        )


@dataclass(frozen=True)
class TransformerVariant(Variant):
    """A variant of Mask2Former or PRO-SCALE. The defaults are Mask2Former's.

    The encoder and the mask features have ``width`` channels, too.

    Attributes:
        encoder_layers: Number of encoder layers over the tokens of stride 32, of 32 and 16, and of all strides.
        encoder_feedforward: Hidden channels of the encoder's feed-forward networks.
        progressive: Whether the pixel decoder is PRO-SCALE's.
    """

    layers: int = 9
    encoder_layers: Depths = (0, 0, 6)
    encoder_feedforward: int = 1024
    progressive: bool = False

    def with_encoder_layers_of(self, state: Mapping[str, Tensor]) -> Variant:
        """Return this variant with the encoder layers of ``state``, a model's tensors."""
        rows = (tensor.shape[0] for key, tensor in state.items() if _OFFSETS.fullmatch(key) and tensor.ndim)
        found = Counter(count // (self.heads * POINTS * 2) for count in rows)
        return replace(self, encoder_layers=(found[1], found[2], found[3])) if found else self

    def _pixel_decoder(self, backbone: Backbone) -> nn.Module:
        return TransformerPixelDecoder(
            backbone.channels,
            width=self.width,
            heads=self.heads,
            feedforward=self.encoder_feedforward,
            depths=self.encoder_layers,
            progressive=self.progressive,
        )

    def _decoder(self, num_classes: int, num_queries: int) -> MaskDecoder:
        return MaskDecoder(
            projections=(nn.Identity() for _ in range(LEVELS)),
            layers=(masked_layer(self.width, self.heads, self.feedforward) for _ in range(self.layers)),
            mask_head=MLP(self.width, self.width),
            mask_product=ProjectingMaskProduct(self.width),
            width=self.width,
            num_queries=num_queries,
            num_classes=num_classes,
        )


_OFFSETS = re.compile(r"pixel_decoder\.encoder\.layers\.\d+\.attention\.offsets\.bias")
"""Matches the one tensor of an encoder layer whose size tells how many levels the layer sees."""

_SWIN_T = partial(SwinTransformer, base=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24))
_PROGRESSIVE = partial(TransformerVariant, encoder_layers=(3, 3, 3), progressive=True)

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("pem-r50", ResNet50),
        Variant("pem-stdc1", partial(STDC, base=64, layers=(2, 2, 2))),
        Variant("pem-stdc2", partial(STDC, base=64, layers=(4, 5, 3))),
        Variant(
            "pem-nano",
            partial(STDC, base=32, layers=(2, 2, 2)),
            pixel_width=64,
            mask_width=128,
            width=128,
            feedforward=512,
            layers=3,
            queries=50,
        ),
        TransformerVariant("mask2former-r50", ResNet50),
        TransformerVariant("mask2former-swin-t", _SWIN_T),
        _PROGRESSIVE("proscale-r50", ResNet50),
        _PROGRESSIVE("proscale-swin-t", _SWIN_T),
    )
}
"""All variants by name."""


def build(
    variant: str, num_classes: int, num_queries: int | None = None, *, encoder_layers: Depths | None = None
) -> PEM:
    """Return an untrained model.

    Args:
        variant: Name of a variant in `VARIANTS`.
        num_classes: Number of classes, 1 or more, without "no object".
        num_queries: Number of queries; defaults to the variant's.
        encoder_layers: For variants with a transformer encoder, the number of layers over the tokens of stride 32, of
            32 and 16, and of all strides; defaults to the variant's.

    Returns:
        The model with random weights, on the CPU, in training mode.

    Raises:
        ValueError: If the variant is unknown, ``num_classes`` is below 1, or the variant cannot have these encoder
            layers.
    """
    if variant not in VARIANTS:
        raise ValueError(f"no variant {variant!r}, there are {', '.join(VARIANTS)}")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected 1 or more")
    row = VARIANTS[variant]
    if encoder_layers is not None:
        row = _with_depths(row, encoder_layers)
    return row.build(num_classes, num_queries)


def _with_depths(row: Variant, depths: Depths) -> Variant:
    if not isinstance(row, TransformerVariant):
        raise ValueError(f"{row.name} has no transformer encoder, so no encoder_layers are expected")
    if len(depths) != LEVELS or min(depths) < 0:
        raise ValueError(f"encoder_layers is {depths}, expected three numbers from 0 up, such as (3, 3, 3)")
    return replace(row, encoder_layers=depths)
