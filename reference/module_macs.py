"""Multiply-accumulates of modules, counted by torch without computing anything: the reference for counts of graphs.

The modules counted lose their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pem_edge.pem import PEM
from reference import published_form
from reference.published_form import ReferenceForm

Shape = tuple[int, int, int]
"""Images, height, width."""

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


def of_model(model: PEM, shape: Shape, rates: Rates = OURS) -> dict[str, int]:
    """Return the multiply-accumulates of each part of ``model``, on images of ``shape``."""
    stages = (model.backbone, model.pixel_decoder, lambda maps: model.decoder(maps[1], maps[0]))
    return _staged(model, stages, shape, rates)


def of_reference(model: PEM, shape: Shape, rates: Rates = OURS) -> dict[str, int]:
    """Return the same of the published formulation of ``model``."""
    form, decode = ReferenceForm(model), partial(published_form.decode, model.decoder)
    stages = (form.features, form.pixel_decode, lambda maps: decode(maps[1], maps[0]))
    return _staged(model, stages, shape, rates)


def _staged(model: PEM, stages: Iterable[Callable[[Any], Any]], shape: Shape, rates: Rates) -> dict[str, int]:
    model.to("meta").eval().requires_grad_(False)
    batch, height, width = shape
    mapping = {operator: _elements(rate) for operator, rate in rates.items()}
    value: Any = torch.empty(batch, 3, height, width, device="meta")
    counted = {}
    for part, stage in zip(("backbone", "pixel_decoder", "decoder"), stages, strict=True):
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
