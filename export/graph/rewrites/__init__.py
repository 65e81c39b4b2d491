"""Rewrites a model before it is traced. All rewrites but the one to half precision are exact to within rounding.

Values that do not depend on the image (positions at a fixed input size, the embeddings of the first prediction, the
query projection of the first layer) need no rewrite: `pem_edge.export.graph.cleaning` folds them into constants.
"""

from __future__ import annotations

import copy

from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites.batchnorm import fold_batchnorm
from pem_edge.export.graph.rewrites.deform_conv import use_deform_conv_node
from pem_edge.export.graph.rewrites.deformable_attention import use_nvidia_attention
from pem_edge.export.graph.rewrites.gather import use_gathers
from pem_edge.export.graph.rewrites.half import ISLANDS, compute_in_half
from pem_edge.export.graph.rewrites.upsample import upsample_by_phases
from pem_edge.export.graph.rewrites.vit import balance_norms, fold_layer_scales, fold_patches, use_attention
from pem_edge.pem import MaskClassifier

__all__ = [
    "balance_norms",
    "compute_in_half",
    "fold_batchnorm",
    "fold_layer_scales",
    "fold_patches",
    "prepare",
    "upsample_by_phases",
    "use_attention",
    "use_deform_conv_node",
    "use_gathers",
    "use_nvidia_attention",
]


def prepare(model: MaskClassifier, forms: Forms, size: tuple[int, int] | None = None) -> MaskClassifier:
    """Return a copy of ``model`` in eval mode, rewritten to the implementations and precision in ``forms``.

    Args:
        model: The model.
        forms: The implementation of each operation.
        size: The size of images, height and width in pixels. It counts where positions are learned: the copy then takes
            no other. None for the size that they were learned for.
    """
    prepared = copy.deepcopy(model).eval().requires_grad_(False)
    fold_batchnorm(prepared)
    fold_layer_scales(prepared)
    balance_norms(prepared)
    use_attention(prepared, forms.attention)
    fold_patches(prepared, size)
    if forms.upsample == "phases":
        upsample_by_phases(prepared)
    match forms.deform_conv:
        case "gather":
            use_gathers(prepared)
        case "nvidia":
            use_nvidia_attention(prepared)
        case "native" | "plugin":
            use_deform_conv_node(prepared, forms.deform_conv)
    if forms.precision == "fp16":
        compute_in_half(prepared, ISLANDS, forms.outputs)
    return prepared
