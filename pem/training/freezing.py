"""Freezes a part of a model, so that training needs neither the time nor the memory for its gradients."""

from __future__ import annotations

from typing import Literal

from pem_edge.pem.model import PEM


def freeze(model: PEM, part: Literal["backbone"]) -> None:
    """Freeze ``part`` of ``model``, in place: training keeps its weights, and the statistics of its BatchNorm.

    Nothing that the backbone computes is kept for the backward pass, as neither images nor its weights need a gradient.
    """
    model.get_submodule(part).requires_grad_(False).eval()
