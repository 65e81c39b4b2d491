"""Variants so small that training them takes moments."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pem_edge.pem.backbones import STDC, SwinTransformer
from pem_edge.pem.variants.encoder_only import EoMTVariant
from pem_edge.pem.variants.pyramid import PyramidVariant, TransformerVariant

TINY = PyramidVariant(
    name="tiny",
    backbone=partial(STDC, base=16, layers=(1, 1, 1)),
    pixel_width=16,
    mask_width=16,
    width=32,
    heads=2,
    feedforward=32,
    layers=3,
    queries=8,
)

TINY_MASK2FORMER = TransformerVariant(
    name="tiny-mask2former",
    backbone=partial(SwinTransformer, base=16, depths=(2, 2, 2, 2), heads=(1, 2, 2, 4)),
    width=64,
    heads=2,
    feedforward=32,
    layers=4,
    queries=8,
    encoder_layers=(0, 0, 2),
    encoder_feedforward=32,
)
TINY_PROSCALE = replace(TINY_MASK2FORMER, name="tiny-proscale", encoder_layers=(1, 2, 1), progressive=True)

TINY_EOMT = EoMTVariant(name="tiny-eomt", width=32, heads=2, depth=4, layers=2, queries=8, side=4)
