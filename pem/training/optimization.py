"""How weights change: AdamW, its parameter groups, the schedule of its learning rate, and the weights' average."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import nn
from torch.optim import AdamW

from pem_edge.pem.model import PEM
from pem_edge.pem.training.settings import Settings

_EMBEDDINGS = ("query_features", "query_positions", "level_embeddings", "position_biases", "alpha")


def optimizer(model: PEM, settings: Settings) -> AdamW:
    """Return AdamW, whose groups carry ``peak``, their highest learning rate.

    Norms, biases and embeddings do not decay.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and not name.endswith(_EMBEDDINGS)
        groups.setdefault((name.startswith("backbone."), decays), []).append(parameter)
    return AdamW(
        [
            {
                "params": parameters,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "peak": settings.learning_rate * (settings.backbone_factor if in_backbone else 1.0),
            }
            for (in_backbone, decays), parameters in groups.items()
        ],
        lr=settings.learning_rate,
        fused=True,
    )


def set_learning_rate(adamw: AdamW, step: int, settings: Settings) -> None:
    """Set the learning rate for ``step``, counted from 0: a short rise, then half a cosine to 0."""
    if step < settings.warmup:
        factor = (step + 1) / (settings.warmup + 1)
    else:
        progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
        factor = 0.5 * (1 + math.cos(math.pi * progress))
    for group in adamw.param_groups:
        group["lr"] = group["peak"] * factor


class Average:
    """The exponential moving average of a model, weights and BatchNorm's statistics alike: what is shipped."""

    def __init__(self, model: PEM, keep: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self.keep = keep

    @torch.no_grad()
    def update(self, model: PEM, step: int) -> None:
        """Take in the weights after ``step``, counted from 0; early on the average is short, to forget the start."""
        keep = min(self.keep, (1 + step) / (10 + step))
        ours, theirs = self.model.state_dict(), model.state_dict()
        floating = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in floating], [theirs[name] for name in floating], 1 - keep)
        for name in ours.keys() - floating:
            ours[name].copy_(theirs[name])
