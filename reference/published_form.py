"""Every variant as the published code formulates it, on the weights of our module: the reference for every rewrite.

Masks are predicted at stride 4 before every layer and resized, every layer predicts classes, positions are built
per image, and tensors travel in the published layouts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pem_edge.pem import PEM, MaskClassifier
from pem_edge.pem.backbones import SwinTransformer
from pem_edge.pem.decoder import DecoderLayer, MaskDecoder, ProjectingMaskProduct
from pem_edge.pem.eomt import EoMT
from pem_edge.pem.layers.attention import MaskedCrossAttention, PrototypeCrossAttention, SelfAttention
from pem_edge.pem.layers.blocks import FeedForward
from pem_edge.pem.pixel_decoders.transformer import TransformerPixelDecoder
from reference.published import encoder_only
from reference.published.positions import sine_positions
from reference.published.transformer import attend, masked_attend, pixel_decode, swin


class ReferenceForm(nn.Module):
    """Same signature and weights as ``model``, in the published formulation."""

    def __init__(self, model: MaskClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.model.normalize(images)
        if isinstance(self.model, EoMT):
            return encoder_only.decode(self.model, encoder_only.tokens_of(self.model, pixels))
        logits, masks = self.predictions(pixels)
        return logits[-1], masks[-1]

    def predictions(self, pixels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return class logits and mask logits before the first layer and after each, for normalized ``pixels``."""
        mask_features, levels = self.pixel_decode(self.features(pixels))
        return decode(self._pyramid.decoder, levels, mask_features)

    @property
    def _pyramid(self) -> PEM:
        assert isinstance(self.model, PEM)
        return self.model

    def features(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's maps."""
        backbone = self.model.backbone
        maps: tuple[Tensor, ...] = swin(backbone, pixels) if isinstance(backbone, SwinTransformer) else backbone(pixels)
        return maps

    def pixel_decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Return the published mask features, and the levels' maps."""
        pixel_decoder = self._pyramid.pixel_decoder
        if isinstance(pixel_decoder, TransformerPixelDecoder):
            mask_features, levels = pixel_decode(pixel_decoder, features)
        else:
            mask_features, levels = pixel_decoder(features)
        return full_mask_features(self._pyramid.decoder, mask_features), levels


def full_mask_features(decoder: MaskDecoder, mask_features: Tensor) -> Tensor:
    """Return the published mask features, whose last convolution may be the decoder's in ours."""
    product = decoder.mask_product
    if not isinstance(product, ProjectingMaskProduct):
        return mask_features
    return F.conv2d(mask_features, product.weight, product.bias)


def decode(decoder: MaskDecoder, levels: list[Tensor], mask_features: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    batch = mask_features.shape[0]
    positions = [sine_positions(level, decoder.level_embeddings.shape[1]) for level in levels]
    sources = [
        projection(level) + embedding[None, :, None, None]
        for projection, level, embedding in zip(decoder.projections, levels, decoder.level_embeddings, strict=True)
    ]
    query_positions = decoder.query_positions.unsqueeze(0).expand(batch, -1, -1)
    queries = decoder.query_features.unsqueeze(0).expand(batch, -1, -1)
    all_logits, all_masks = [], []
    for i in range(len(decoder.layers) + 1):
        normalized = decoder.norm(queries)
        logits = decoder.class_head(normalized)
        masks = torch.einsum("bqc,bchw->bqhw", decoder.mask_head(normalized), mask_features)
        all_logits.append(logits)
        all_masks.append(masks)
        if i < len(decoder.layers):
            k, layer = i % len(levels), decoder.layers[i]
            attention_mask = F.interpolate(masks, size=levels[k].shape[2:], mode="bilinear", align_corners=False)
            assert isinstance(layer, DecoderLayer)
            cross = layer.cross_attention
            if isinstance(cross, MaskedCrossAttention):
                queries = masked_attend(cross, queries, query_positions, sources[k], positions[k], attention_mask)
            else:
                assert isinstance(cross, PrototypeCrossAttention)
                queries = cross_attend(cross, queries, query_positions, sources[k] + positions[k], attention_mask)
            queries = self_attend(layer.self_attention, queries, query_positions)
            queries = feed_forward(layer.feedforward, queries)
    return all_logits, all_masks


def cross_attend(
    module: PrototypeCrossAttention, queries: Tensor, positions: Tensor, memory: Tensor, mask_logits: Tensor
) -> Tensor:
    batch, width, height, columns = memory.shape
    local = module.memory_conv(module.memory_bn(memory))
    keys = module.memory_linear(local.reshape(batch, width, height * columns).permute(0, 2, 1))
    targets = module.query_linear(module.query_norm(queries + positions))
    keys, targets = F.normalize(keys, dim=-1), F.normalize(targets, dim=-1)

    heads, depth, count = module.prototypes.heads, width // module.prototypes.heads, targets.shape[1]
    keys = keys.view(batch, -1, heads, depth).permute(0, 2, 1, 3)
    split = targets.view(batch, count, heads, depth).permute(0, 2, 1, 3)
    similarity = torch.einsum("bhnc,bhqc->bhnq", keys, split)
    outside = (mask_logits.flatten(2).permute(0, 2, 1) < 0).unsqueeze(1).expand(-1, heads, -1, -1)
    everything_outside = outside.all(dim=2, keepdim=True).all(dim=3, keepdim=True)
    similarity = similarity.masked_fill(outside & ~everything_outside, float("-inf"))
    index = similarity.argmax(dim=2).unsqueeze(-1).expand(-1, -1, -1, depth)
    prototypes = torch.gather(keys, 2, index).permute(0, 2, 1, 3).reshape(batch, count, width)

    attended = F.normalize(module.projection(prototypes * targets), dim=1) * module.alpha + prototypes
    updated: Tensor = module.output(attended) + queries
    return updated


def self_attend(module: SelfAttention, queries: Tensor, positions: Tensor) -> Tensor:
    values = module.norm(queries) if module.norm_first else queries
    placed = values + positions
    updated = queries + attend(module, placed, placed, values)
    return updated if module.norm_first else module.norm(updated)


def feed_forward(module: FeedForward, queries: Tensor) -> Tensor:
    content = module.norm(queries) if module.norm_first else queries
    updated: Tensor = queries + module.contract(F.relu(module.expand(content)))
    return updated if module.norm_first else module.norm(updated)
