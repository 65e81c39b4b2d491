"""A variant so small that training it takes moments."""

from __future__ import annotations

from functools import partial

from pem.backbones import STDC
from pem.variants import Variant

TINY = Variant(
    "tiny",
    partial(STDC, base=16, layers=(1, 1, 1)),
    pixel_width=16,
    mask_width=16,
    width=32,
    heads=2,
    feedforward=32,
    layers=3,
    queries=8,
)
