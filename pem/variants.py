"""The table of variants: a new one is a row here and, if it needs one, a backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pem.backbones import STDC, Backbone, ResNet50
from pem.decoder import MaskDecoder
from pem.model import PEM
from pem.pixel_decoder import PixelDecoder


@dataclass(frozen=True)
class Variant:
    """What one variant is built from; widths in channels. The defaults are the published ones."""

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
        """The model with fresh weights, in training mode."""
        backbone = self.backbone()
        pixel_decoder = PixelDecoder(backbone.channels, self.pixel_width, self.mask_width)
        decoder = MaskDecoder(
            in_channels=self.pixel_width,
            width=self.width,
            mask_width=self.mask_width,
            heads=self.heads,
            feedforward=self.feedforward,
            layers=self.layers,
            num_queries=num_queries or self.queries,
            num_classes=num_classes,
        )
        return PEM(self.name, backbone, pixel_decoder, decoder)


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
    )
}


def build(variant: str, num_classes: int, num_queries: int | None = None) -> PEM:
    """A model with fresh weights, in training mode. Raises ValueError for an unknown variant or no classes."""
    if variant not in VARIANTS:
        raise ValueError(f"no variant {variant!r}, there are {', '.join(VARIANTS)}")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected 1 or more")
    return VARIANTS[variant].build(num_classes, num_queries)
