"""Which query is responsible for which true segment (Carion et al., DETR, 2020; costs as in Mask2Former)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from pem_edge.pem.training.settings import LossWeights

NOBODY = -1
"""In place of a query: the segment is padding, or there are more segments than queries."""


def match(logits: Tensor, masks: Tensor, classes: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Return the query of every segment at least total cost: int64 (N, L, S), NOBODY where there is none.

    ``logits`` (N, L, Q, K+1) and ``masks`` (N, L, Q, P) are predictions of L layers, masks at P points;
    ``classes`` int64 (N, S), below 0 for padding at the end, and ``truth`` (N, S, P), 0 or 1, the segments.
    """
    everything = costs(logits, masks, classes, truth, weights).cpu().numpy()
    counts = (classes >= 0).sum(dim=1).tolist()
    matched = np.full((*everything.shape[:2], classes.shape[1]), NOBODY, np.int64)
    for n, count in enumerate(counts):
        for layer, cost in enumerate(everything[n]):
            queries, segments = linear_sum_assignment(cost[:, :count])
            matched[n, layer, segments] = queries
    return torch.from_numpy(matched).to(classes.device)


@torch.no_grad()
def costs(logits: Tensor, masks: Tensor, classes: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Return what it costs that a query takes a segment, (N, L, Q, S): class, cross-entropy and Dice, weighted."""
    n, layers, queries, points = masks.shape
    chances = logits.float().softmax(dim=3)
    wanted = classes.clamp(min=0)[:, None, None].expand(-1, layers, queries, -1)
    chance = chances.gather(3, wanted)
    flat, truth = masks.float().flatten(1, 2), truth.to(torch.float32).transpose(1, 2)
    # The cross-entropy of x with target t is softplus(x) - x t.
    entropy = (F.softplus(flat).sum(2, keepdim=True) - flat @ truth) / points
    inside = flat.sigmoid()
    shared, areas = inside @ truth, inside.sum(2, keepdim=True) + truth.sum(1, keepdim=True)
    dice = 1 - (2 * shared + 1) / (areas + 1)
    shape = (n, layers, queries, -1)
    total = weights.entropy * entropy.reshape(shape) + weights.dice * dice.reshape(shape) - weights.classes * chance
    return total.nan_to_num(nan=1e6, posinf=1e6, neginf=-1e6)
