"""Variants of PEM, Mask2Former and PRO-SCALE, whose pixel decoder turns a pyramid of maps into levels."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from pem_edge.pem.backbones import Backbone
from pem_edge.pem.decoder import LEVELS, MaskDecoder, MaskProduct, ProjectingMaskProduct, masked_layer, prototype_layer
from pem_edge.pem.layers.blocks import MLP
from pem_edge.pem.layers.deformable_attention import POINTS
from pem_edge.pem.model import PEM
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.pem.pixel_decoders.pem import PixelDecoder
from pem_edge.pem.pixel_decoders.transformer import TransformerPixelDecoder
from pem_edge.pem.variants.variant import MOST_LAYERS, Variant, count_layers

_OFFSETS = re.compile(r"pixel_decoder\.encoder\.layers\.\d+\.attention\.offsets\.bias")
"""Matches the one tensor of an encoder layer whose size tells how many levels the layer sees."""

_POSITION_BIASES = "backbone.stages.0.0.attention.position_biases"
"""Name of a tensor whose size tells how large the windows of a Swin Transformer are."""

_LARGEST_WINDOW = 32
"""Limit on windows: constants of a block have their fourth power of entries, which no file has to contain."""


@dataclass(frozen=True, kw_only=True)
class PyramidVariant(Variant):
    """A variant of PEM, Mask2Former or PRO-SCALE. The defaults are PEM's published values.

    Attributes:
        backbone: Builds the backbone; a Swin Transformer takes the argument ``window``.
        pixel_width: Channels of the pixel decoder's level maps.
        mask_width: Channels of the mask features.
        width: Channels of the decoder's queries.
        heads: Number of attention heads.
        feedforward: Hidden channels of the decoder's feed-forward networks.
        window: Height and width of Swin's windows in pixels, None for other backbones.
    """

    backbone: Callable[..., Backbone]
    pixel_width: int = 128
    mask_width: int = 256
    width: int = 256
    heads: int = 8
    feedforward: int = 2048
    layers: int = 6
    queries: int = 100
    window: int | None = None

    def build(self, num_classes: int, num_queries: int | None = None) -> PEM:
        """Return a model with random weights, in training mode; ``num_queries`` defaults to the variant's."""
        backbone = self.backbone() if self.window is None else self.backbone(window=self.window)
        decoder = self._decoder(num_classes, num_queries or self.queries)
        return PEM(self.name, backbone, self._pixel_decoder(backbone), decoder)

    def fitted_to(self, state: Mapping[str, Tensor]) -> PyramidVariant:
        """Return this variant with as many decoder layers, and as large windows, as ``state``, a model's tensors."""
        window = self.window
        if window is not None and (biases := state.get(_POSITION_BIASES)) is not None and biases.ndim:
            # There is a bias for each of (2 window - 1)^2 positions.
            window = min((math.isqrt(biases.shape[0]) + 1) // 2, _LARGEST_WINDOW)
        return replace(self, layers=count_layers(state) or self.layers, window=window)

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


@dataclass(frozen=True, kw_only=True)
class TransformerVariant(PyramidVariant):
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

    def fitted_to(self, state: Mapping[str, Tensor]) -> TransformerVariant:
        """Return this variant with the decoder and encoder layers and the windows of ``state``, a model's tensors."""
        like = super().fitted_to(state)
        rows = (tensor.shape[0] for key, tensor in state.items() if _OFFSETS.fullmatch(key) and tensor.ndim)
        found = Counter(count // (self.heads * POINTS * 2) for count in rows)
        one, two, three = (min(found[levels], MOST_LAYERS) for levels in (1, 2, 3))
        depths = (one, two, three) if found else self.encoder_layers
        return replace(self, layers=like.layers, window=like.window, encoder_layers=depths)

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
