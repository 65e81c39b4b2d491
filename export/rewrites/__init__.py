"""Rewrites of the module before it is traced: each exact to rounding, each with a test that shows it.

What a fixed input size makes constant (positions, the first prediction's embeddings, the first layer's query
projection) needs no rewrite here: `export.graph` folds it.
"""

from __future__ import annotations

import copy

from export.forms import Forms
from export.rewrites.batchnorm import fold_batchnorm
from export.rewrites.deform_conv import use_native_deform_conv
from export.rewrites.upsample import upsample_by_phases
from pem import PEM

__all__ = ["fold_batchnorm", "prepare", "upsample_by_phases", "use_native_deform_conv"]


def prepare(model: PEM, forms: Forms) -> PEM:
    """A copy of ``model`` in eval mode, rewritten as ``forms`` says. Computes the same, to rounding."""
    prepared = copy.deepcopy(model).eval().requires_grad_(False)
    fold_batchnorm(prepared)
    if forms.upsample == "phases":
        upsample_by_phases(prepared)
    if forms.deform_conv == "native":
        use_native_deform_conv(prepared)
    return prepared
