"""Matches queries to true segments as DETR does (Carion et al., ECCV 2020), with the costs of Mask2Former."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from pem_edge.pem.training.settings import LossWeights

UNMATCHED = -1
"""In place of a query for segments that are padding, or that exceed the number of queries."""


def match(logits: Tensor, masks: Tensor, classes: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Match each segment to a query so that the total cost in each image and layer is minimal.

    Args:
        logits: Class logits of the predictions of L layers, (N, L, Q, K+1).
        masks: Mask logits of these predictions at P points, (N, L, Q, P).
        classes: Class of each segment, int64 (N, S); negative for padding, which comes last.
        truth: Whether each point belongs to the segment, (N, S, P).
        weights: Weights of the costs.

    Returns:
        The query of each segment, or `UNMATCHED`, int64 (N, L, S).
    """
    all_costs = costs(logits, masks, classes, truth, weights).cpu().numpy()
    counts = (classes >= 0).sum(dim=1).tolist()
    matched = np.full((*all_costs.shape[:2], classes.shape[1]), UNMATCHED, np.int64)
    for n, count in enumerate(counts):
        for layer, cost in enumerate(all_costs[n]):
            queries, segments = linear_sum_assignment(cost[:, :count])
            matched[n, layer, segments] = queries
    return torch.from_numpy(matched).to(classes.device)


@torch.no_grad()
def costs(logits: Tensor, masks: Tensor, classes: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Return the cost of matching each query to each segment, (N, L, Q, S); arguments as in `match`."""
    n, layers, queries, points = masks.shape
    true_classes = classes.clamp(min=0)[:, None, None].expand(-1, layers, queries, -1)
    probability = logits.float().softmax(dim=3).gather(3, true_classes)
    flat, truth = masks.float().flatten(1, 2), truth.to(torch.float32).transpose(1, 2)
    # The cross-entropy of a logit x with target t is softplus(x) - x t.
    entropy = (F.softplus(flat).sum(2, keepdim=True) - flat @ truth) / points
    inside = flat.sigmoid()
    shared, areas = inside @ truth, inside.sum(2, keepdim=True) + truth.sum(1, keepdim=True)
    dice = 1 - (2 * shared + 1) / (areas + 1)
    mask_cost = (weights.entropy * entropy + weights.dice * dice).reshape(n, layers, queries, -1)
    total = mask_cost - weights.classes * probability
    return total.nan_to_num(nan=1e6, posinf=1e6, neginf=-1e6)
