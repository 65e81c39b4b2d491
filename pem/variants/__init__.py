"""The table of variants: adding one takes a row here and, if it has a new one, a backbone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pem_edge.pem.backbones import STDC, ResNet, SwinTransformer
from pem_edge.pem.decoder import LEVELS
from pem_edge.pem.model import MaskClassifier
from pem_edge.pem.pixel_decoders.encoder import Depths
from pem_edge.pem.variants.encoder_only import EoMTVariant
from pem_edge.pem.variants.pyramid import PyramidVariant, TransformerVariant
from pem_edge.pem.variants.variant import Variant
from pem_edge.runtime.suggestions import no_such

_R50 = partial(ResNet, depths=(3, 4, 6, 3))
_R101 = partial(ResNet, depths=(3, 4, 23, 3))
_SWIN_T = partial(SwinTransformer, base=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24))
_SWIN_S = partial(SwinTransformer, base=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24))
_SWIN_B = partial(SwinTransformer, base=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32))
_SWIN_L = partial(SwinTransformer, base=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48))
_PROGRESSIVE = partial(TransformerVariant, encoder_layers=(3, 3, 3), progressive=True)

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        PyramidVariant(name="pem-r50", backbone=_R50),
        PyramidVariant(name="pem-stdc1", backbone=partial(STDC, base=64, layers=(2, 2, 2))),
        PyramidVariant(name="pem-stdc2", backbone=partial(STDC, base=64, layers=(4, 5, 3))),
        PyramidVariant(
            name="pem-nano",
            backbone=partial(STDC, base=32, layers=(2, 2, 2)),
            pixel_width=64,
            mask_width=128,
            width=128,
            feedforward=512,
            layers=3,
            queries=50,
        ),
        TransformerVariant(name="mask2former-r50", backbone=_R50),
        TransformerVariant(name="mask2former-r101", backbone=_R101),
        TransformerVariant(name="mask2former-swin-t", backbone=_SWIN_T, window=7),
        TransformerVariant(name="mask2former-swin-s", backbone=_SWIN_S, window=7),
        TransformerVariant(name="mask2former-swin-b", backbone=_SWIN_B, window=12),
        TransformerVariant(name="mask2former-swin-l", backbone=_SWIN_L, window=12, queries=200),
        _PROGRESSIVE(name="proscale-r50", backbone=_R50),
        _PROGRESSIVE(name="proscale-r101", backbone=_R101),
        _PROGRESSIVE(name="proscale-swin-t", backbone=_SWIN_T, window=7),
        _PROGRESSIVE(name="proscale-swin-s", backbone=_SWIN_S, window=7),
        _PROGRESSIVE(name="proscale-swin-b", backbone=_SWIN_B, window=12),
        _PROGRESSIVE(name="proscale-swin-l", backbone=_SWIN_L, window=12, queries=200),
        EoMTVariant(name="eomt-s", width=384, heads=6, depth=12),
        EoMTVariant(name="eomt-b", width=768, heads=12, depth=12),
        EoMTVariant(name="eomt-l", width=1024, heads=16, depth=24, layers=4),
    )
}
"""All variants by name."""


def build(
    variant: str,
    num_classes: int,
    num_queries: int | None = None,
    *,
    encoder_layers: Depths | None = None,
    window: int | None = None,
) -> MaskClassifier:
    """Return an untrained model.

    Args:
        variant: Name of a variant in `VARIANTS`.
        num_classes: Number of classes, 1 or more, without "no object".
        num_queries: Number of queries; defaults to the variant's.
        encoder_layers: For variants with a transformer encoder, the number of layers over the tokens of stride 32, of
            32 and 16, and of all strides; defaults to the variant's.
        window: For variants with a Swin Transformer, the height and width of its windows in pixels, 2 or more; defaults
            to the variant's.

    Returns:
        The model with random weights, on the CPU, in training mode.

    Raises:
        ValueError: If the variant is unknown, ``num_classes`` or ``num_queries`` is below 1, or the variant cannot have
            these encoder layers or windows.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant: {no_such(variant, VARIANTS)}")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected 1 or more")
    if num_queries is not None and num_queries < 1:
        raise ValueError(f"num_queries is {num_queries}, expected 1 or more")
    row = VARIANTS[variant]
    if encoder_layers is not None:
        row = _with_depths(row, encoder_layers)
    if window is not None:
        row = _with_window(row, window)
    return row.build(num_classes, num_queries)


def _with_depths(row: Variant, depths: Depths) -> Variant:
    if not isinstance(row, TransformerVariant):
        raise ValueError(f"{row.name} has no transformer encoder, so no encoder_layers are expected")
    if len(depths) != LEVELS or min(depths) < 0:
        raise ValueError(f"encoder_layers is {depths}, expected three numbers from 0 up, such as (3, 3, 3)")
    return replace(row, encoder_layers=depths)


def _with_window(row: Variant, window: int) -> Variant:
    if not isinstance(row, PyramidVariant) or row.window is None:
        raise ValueError(f"{row.name} has no Swin Transformer, so no window is expected")
    if window < 2:
        raise ValueError(f"window is {window}, expected 2 or more")
    return replace(row, window=window)
