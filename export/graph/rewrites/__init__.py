"""Rewrites of the module before it is traced: each exact to rounding, half precision aside, each with a test.

What a fixed input size makes constant (positions, the first prediction's embeddings, the first layer's query
projection) needs no rewrite here: `export.graph.tracing` folds it.
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
    "compute_in_half",
    "fold_batchnorm",
    "prepare",
    "suited",
    "upsample_by_phases",
    "use_deform_conv_node",
    "use_nvidia_attention",
]


def prepare(model: PEM, forms: Forms) -> PEM:
    """Return a copy of ``model`` in eval mode, rewritten as ``forms`` says; it computes the same, but for rounding."""
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


def suited(forms: Forms, model: PEM) -> Forms:
    """Return ``forms`` for ``model``: with deformable attention, an engine's own operator is NVIDIA's plugin."""
    attends = any(isinstance(module, DeformableAttention) for module in model.modules())
    return replace(forms, deform_conv="nvidia") if attends and forms.deform_conv != "standard" else forms
