"""Compute in half precision, but for islands that stay in single precision.

The casts become part of the graph, which is then strongly typed: every engine computes each operation in the type that
the graph says, and none has to be trusted to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pem_edge.export.graph.rewrites.deform_conv import NativeDeformConv
from pem_edge.export.graph.rewrites.gather import PointCorners, TapCorners
from pem_edge.export.graph.rewrites.vit import RawPatches
from pem_edge.pem import MaskClassifier
from pem_edge.pem.layers.attention import BiasedAttention, DotProductAttention, PrototypeSelection
from pem_edge.pem.layers.blocks import GlobalAverage, UnitNorm
from pem_edge.pem.layers.deform_conv import TapSampling
from pem_edge.pem.layers.deformable_attention import DeformableSampling


@dataclass(frozen=True)
class Island:
    """A kind of module that computes in single precision between casts, and why."""

    kind: type[nn.Module]
    reason: str


ISLANDS = (
    Island(nn.BatchNorm2d, "variances above 65504 overflow, those below 6e-5 lose bits"),
    Island(nn.LayerNorm, "squares of activations above 256 overflow, their sum much earlier"),
    Island(nn.GroupNorm, "the sum over all pixels of a group overflows, as do squares above"),
    Island(UnitNorm, "norms above 256 overflow the sum of squares, and the least norm, 1e-12, is 0 in half"),
    Island(PrototypeSelection, "in half hundreds of pixels tie for the highest similarity; norms as above"),
    Island(DotProductAttention, "softmax: products of queries and keys above 65504 overflow, exponentials round to 0"),
    Island(BiasedAttention, "softmax, as above"),
    Island(DeformableSampling, "softmax; sampling coordinates, as below"),
    Island(TapSampling, "half has no 1/100 of a pixel beyond column 16, and none at all beyond 2048"),
    Island(TapCorners, "sampling coordinates, as above; pixels are gathered and summed up in half"),
    Island(PointCorners, "softmax and sampling coordinates, as above"),
    Island(NativeDeformConv, "engines round the sampling coordinates to the type of the data"),
    Island(RawPatches, "sums over pixels that are not normalized are large, and mostly cancel against the bias"),
    Island(GlobalAverage, "the sum over all pixels overflows where an engine adds up in half"),
)
"""Our plugin is not among them: it computes its coordinates and sums in single precision whatever the data's type.

Nor is the attention of Vision Transformers, a third of EoMT's work: engines fuse it into one kernel where it is in half
throughout, with logits and softmax in single precision. Its logits, of normalized tokens and scaled by 1/8, are far
below 65504, and rounding them loses no more than the products around them (`tests/export/graph/test_half.py`).
"""


def compute_in_half(
    model: MaskClassifier, islands: Sequence[Island] = ISLANDS, outputs: Literal["float32", "float16"] = "float32"
) -> None:
    """Rewrite ``model``, in eval mode, in place; its logits and masks become of type ``outputs``."""
    convert(model, islands)
    result = torch.float32 if outputs == "float32" else torch.float16
    model.register_forward_hook(lambda _module, _arguments, found: _cast(found, result))


def convert(module: nn.Module, islands: Sequence[Island]) -> None:
    """Turn parameters and buffers to half, outside of islands, and put casts around these; in place."""
    if isinstance(module, tuple(island.kind for island in islands)):
        module.register_forward_pre_hook(lambda _module, arguments: _cast(arguments, torch.float32))
        module.register_forward_hook(lambda _module, _arguments, found: _cast(found, torch.float16))
        return
    for child in module.children():
        convert(child, islands)
    for name, parameter in module.named_parameters(recurse=False):
        setattr(module, name, nn.Parameter(parameter.half(), requires_grad=False))
    for name, buffer in module.named_buffers(recurse=False):
        setattr(module, name, _cast(buffer, torch.float16))


def _cast(values: Any, dtype: torch.dtype) -> Any:  # hooks get whatever modules take and return
    """Return a tensor, or those of a tuple or list, as ``dtype``; all but floating-point tensors stay as they are."""
    if isinstance(values, (tuple, list)):
        return type(values)(_cast(value, dtype) for value in values)
    return values.to(dtype) if isinstance(values, Tensor) and values.is_floating_point() else values
