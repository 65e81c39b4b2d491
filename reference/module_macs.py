"""Multiply-accumulates of modules, counted by torch without computing anything: the reference for counts of graphs.

The modules counted lose their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pem_edge.pem import PEM, MaskClassifier
from pem_edge.pem.backbones.vit import PATCH
from pem_edge.pem.eomt import EoMT
from reference import published_form
from reference.published import encoder_only
from reference.published_form import ReferenceForm

Shape = tuple[int, int, int]
"""Images, height, width."""

Stages = dict[str, Callable[[Any], Any]]
"""Parts of a model by name; each takes what the one before returns."""

Rates = Mapping[Any, int]
"""What operators other than products cost: multiply-accumulates an element of their output."""

OURS: Rates = {torch.ops.aten.grid_sampler_2d: 4}
FVCORE: Rates = {
    torch.ops.aten._native_batch_norm_legit_no_training: 2,
    torch.ops.aten.native_layer_norm: 5,
    torch.ops.aten.native_group_norm: 5,
    torch.ops.aten.upsample_bilinear2d: 4,
}
"""Those of fvcore 0.1.5, which passes over custom operators: of the published code, the sampling."""


def of_model(model: MaskClassifier, shape: Shape, rates: Rates = OURS) -> dict[str, int]:
    """Return the multiply-accumulates of each part of ``model``, on images of ``shape``."""
    stages: Stages = {"backbone": model.backbone}
    if isinstance(model, EoMT):
        decoder, grid = model.decoder, (shape[1] // PATCH, shape[2] // PATCH)
        return _staged(model, {**stages, "decoder": lambda tokens: decoder(tokens, grid)}, shape, rates)
    assert isinstance(model, PEM)
    stages |= {"pixel_decoder": model.pixel_decoder, "decoder": lambda maps: model.decoder(maps[1], maps[0])}
    return _staged(model, stages, shape, rates)


def of_reference(model: MaskClassifier, shape: Shape, rates: Rates = OURS) -> dict[str, int]:
    """Return the same of the published formulation of ``model``; EoMT's takes images of the trained size."""
    if isinstance(model, EoMT):
        stages: Stages = {
            "backbone": partial(encoder_only.tokens_of, model),
            "decoder": partial(encoder_only.decode, model),
        }
        return _staged(model, stages, shape, rates)
    assert isinstance(model, PEM)
    form, decode = ReferenceForm(model), partial(published_form.decode, model.decoder)
    pyramid: Stages = {
        "backbone": form.features,
        "pixel_decoder": form.pixel_decode,
        "decoder": lambda maps: decode(maps[1], maps[0]),
    }
    return _staged(model, pyramid, shape, rates)


def _staged(model: MaskClassifier, stages: Stages, shape: Shape, rates: Rates) -> dict[str, int]:
    model.to("meta").eval().requires_grad_(False)
    batch, height, width = shape
    mapping = {operator: _elements(rate) for operator, rate in rates.items()}
    value: Any = torch.empty(batch, 3, height, width, device="meta")
    counted = {}
    for part, stage in stages.items():
        counter = FlopCounterMode(display=False, custom_mapping=mapping)
        with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH), torch.device("meta"):
            value = stage(value)
        counted[part] = counter.get_total_flops() // 2
    return counted


def _elements(rate: int) -> Callable[..., int]:
    """Return twice the rate for each element of the first output: torch counts a multiply-accumulate as two."""

    def flops(*_inputs: Any, out_shape: Any, **_options: Any) -> int:
        first = out_shape[0] if isinstance(out_shape[0], torch.Size) else out_shape
        return 2 * rate * torch.Size(first).numel()

    return flops
