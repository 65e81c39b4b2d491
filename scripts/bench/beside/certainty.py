"""Makes some queries certain of a class, as those of trained models are, so that there are masks to merge."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CERTAIN = 30
"""Queries that take part in the merge, as many as on a busy street."""

_PROBABILITY = 0.999
_SMALLEST = 0.002
"""Share of the picture that a mask has to cover for its query to be chosen."""


@torch.no_grad()
def make_certain(head: nn.Module, predict_masks: Callable[[], Tensor]) -> None:
    """Make `CERTAIN` queries certain of classes, those with small masks, which hide each other least; others of none.

    Args:
        head: The linear layer of the classes, the last of which is "no object"; its weights are replaced.
        predict_masks: Runs the model, and returns its mask logits (Q, h, w).
    """
    queries: list[Tensor] = []
    with head.register_forward_pre_hook(lambda _head, arguments: queries.append(arguments[0][0])):
        areas = (predict_masks() > 0).flatten(1).double().mean(1)
    weight, bias = head.get_parameter("weight"), head.get_parameter("bias")
    classes = len(bias) - 1
    large_enough = [query for query in areas.argsort().tolist() if areas[query] > _SMALLEST]
    chosen = torch.full((len(areas),), classes)
    for place, query in enumerate(large_enough[:CERTAIN]):
        chosen[query] = 7 * place % classes
    logits = math.log(classes * _PROBABILITY / (1 - _PROBABILITY)) * F.one_hot(chosen, classes + 1)
    solution = _solve(F.pad(queries[-1], (0, 1), value=1.0), logits)
    weight.copy_(solution[:-1].T)
    bias.copy_(solution[-1])


@torch.no_grad()
def narrow_masks(embed: nn.Module, features: nn.Module, predict_masks: Callable[[], Tensor], share: float) -> None:
    """Make each mask cover about ``share`` of the picture.

    Args:
        embed: Turns queries into mask embeddings.
        features: The convolution that computes the mask features, whose bias is changed.
        predict_masks: As in `make_certain`.
        share: From 0 to 1.
    """
    embeddings: list[Tensor] = []
    with embed.register_forward_hook(lambda _embed, _arguments, output: embeddings.append(output[0])):
        levels = predict_masks().flatten(1).quantile(1 - share, dim=1)
    features.get_parameter("bias").sub_(_solve(embeddings[-1], levels[:, None])[:, 0])


def _solve(rows: Tensor, values: Tensor) -> Tensor:
    """Return the least solution x of rows @ x = values, of which there are fewer than unknowns."""
    solution: Tensor = torch.linalg.lstsq(rows.double(), values.double(), driver="gelsd").solution
    return solution
