"""Freezing, AdamW with its parameter groups and its schedule, and the moving average of the weights."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import AdamW

from pem_edge.pem.model import PEM
from pem_edge.pem.training.settings import TrainingSettings

_EMBEDDINGS = ("query_features", "query_positions", "level_embeddings", "position_biases", "alpha")
"""Last parts of the names of matrices that have no weight decay."""


def freeze(model: PEM, part: Literal["backbone"]) -> None:
    """Freeze ``part`` of ``model``, in place: training keeps its weights, and the statistics of its BatchNorm.

    Nothing that the backbone computes is kept for the backward pass, as neither images nor its weights need a gradient.
    """
    model.get_submodule(part).requires_grad_(False).eval()


def make_optimizer(model: PEM, settings: TrainingSettings) -> AdamW:
    """Return an AdamW optimizer for ``model``.

    The backbone has a learning rate of its own. Norms, biases and embeddings have no weight decay. Each parameter group
    has an entry "peak", its maximum learning rate.
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


def restore_optimizer(adamw: AdamW, state: dict[str, Any]) -> None:  # as PyTorch has it
    """Load what ``adamw.state_dict()`` returned earlier, but for the maximum learning rates, which may be new.

    Raises:
        ValueError: If ``state`` is another model's.
    """
    peaks = [group["peak"] for group in adamw.param_groups]
    adamw.load_state_dict(state)
    for group, peak in zip(adamw.param_groups, peaks, strict=True):
        group["peak"] = peak
    for parameter, moments in adamw.state.items():
        if any(moments[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq")):  # PyTorch does not check
            raise ValueError("the optimizer's state has other shapes than the model")


def set_learning_rate(adamw: AdamW, step: int, settings: TrainingSettings) -> None:
    """Set the learning rate for ``step``, counted from 0: a linear warmup, then half a cosine down to 0."""
    if step < settings.warmup:
        factor = (step + 1) / (settings.warmup + 1)
    else:
        progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
        factor = 0.5 * (1 + math.cos(math.pi * progress))
    for group in adamw.param_groups:
        group["lr"] = group["peak"] * factor


class Average:
    """The exponential moving average of a model's weights and BatchNorm statistics, which is the result of training.

    Attributes:
        model: The averaged model, in evaluation mode.
    """

    def __init__(self, model: PEM, decay: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: PEM, step: int) -> None:
        """Add the weights of ``model`` after ``step``, counted from 0.

        The decay is smaller in the first steps, so that the initial weights are soon forgotten.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        average, latest = self.model.state_dict(), model.state_dict()
        floats = [name for name, tensor in average.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([average[name] for name in floats], [latest[name] for name in floats], 1 - decay)
        for name in average.keys() - floats:
            average[name].copy_(latest[name])
