"""Rewrites a model before it is traced. All rewrites but the one to half precision are exact to within rounding.

Values that do not depend on the image (positions at a fixed input size, the embeddings of the first prediction, the
query projection of the first layer) need no rewrite: `pem_edge.export.graph.cleaning` folds them into constants.
"""

from __future__ import annotations

import copy
from dataclasses import replace

from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites.batchnorm import fold_batchnorm
from pem_edge.export.graph.rewrites.deform_conv import use_deform_conv_node
from pem_edge.export.graph.rewrites.deformable_attention import use_nvidia_attention
from pem_edge.export.graph.rewrites.half import ISLANDS, compute_in_half
from pem_edge.export.graph.rewrites.upsample import upsample_by_phases
from pem_edge.pem import PEM
from pem_edge.pem.layers.deformable_attention import DeformableAttention

__all__ = [
    "adapt_forms",
    "compute_in_half",
    "fold_batchnorm",
    "prepare",
    "upsample_by_phases",
    "use_deform_conv_node",
    "use_nvidia_attention",
]


def prepare(model: PEM, forms: Forms) -> PEM:
    """Return a copy of ``model`` in eval mode, rewritten to the implementations and precision in ``forms``."""
    prepared = copy.deepcopy(model).eval().requires_grad_(False)
    fold_batchnorm(prepared)
    if forms.upsample == "phases":
        upsample_by_phases(prepared)
    if forms.deform_conv == "nvidia":
        use_nvidia_attention(prepared)
    elif forms.deform_conv != "standard":
        use_deform_conv_node(prepared, forms.deform_conv)
    if forms.precision == "fp16":
        compute_in_half(prepared, ISLANDS, forms.outputs)
    return prepared


def adapt_forms(forms: Forms, model: PEM) -> Forms:
    """Return ``forms`` with NVIDIA's plugin for a model with deformable attention, in place of ours or DeformConv.

    Such models have no deformable convolution; the standard operators are kept.
    """
    has_attention = any(isinstance(module, DeformableAttention) for module in model.modules())
    return replace(forms, deform_conv="nvidia") if has_attention and forms.deform_conv != "standard" else forms
