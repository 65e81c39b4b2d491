"""Mask2Former's losses (Cheng et al., CVPR 2022), computed for the predictions of all layers at once.

They are cross-entropy of classes, and cross-entropy and Dice loss of masks. Each is summed, not averaged, over layers.

In shapes, N is the number of images, L of layers, Q of queries, S of segments per image and P of points per mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def class_targets(matched: Tensor, classes: Tensor, queries: int, no_object: int) -> Tensor:
    """Return the class that each query should predict, int64 (N, L, Q).

    Args:
        matched: Query matched to each segment, or `UNMATCHED`, int64 (N, L, S).
        classes: Class of each segment, int64 (N, S).
        queries: Number of queries.
        no_object: The class of queries without a segment.
    """
    n, layers, _ = matched.shape
    targets = classes.new_full((n, layers, queries + 1), no_object)
    # Unmatched segments are written to an additional query, which is then cut off.
    targets.scatter_(2, matched.where(matched >= 0, queries), classes.unsqueeze(1).expand_as(matched))
    return targets[..., :queries]


def class_loss(logits: Tensor, targets: Tensor, no_object_weight: float) -> Tensor:
    """Return the cross-entropy of classes: a weighted mean over the queries of a layer, summed over layers.

    Args:
        logits: Class logits, (N, L, Q, K+1).
        targets: Class that each query should predict, int64 (N, L, Q).
        no_object_weight: Weight of queries whose target is "no object", the last class; others have weight 1.
    """
    last = logits.shape[3] - 1
    entropy = F.cross_entropy(logits.float().flatten(0, 2), targets.flatten(), reduction="none").view_as(targets)
    weight = torch.where(targets == last, no_object_weight, 1.0)
    return ((entropy * weight).sum((0, 2)) / weight.sum((0, 2))).sum()


def mask_losses(masks: Tensor, truth: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and Dice loss of masks, each summed over the valid masks and divided by ``count``.

    Args:
        masks: Mask logits of M masks, (N, M, P).
        truth: Whether each point belongs to the mask's segment, (N, M, P).
        valid: Whether each mask is matched to a segment, (N, M).
        count: Number of segments in the batch, averaged over processes, a scalar.
    """
    masks, truth = masks.float(), truth.to(torch.float32)
    entropy = F.binary_cross_entropy_with_logits(masks, truth, reduction="none").mean(2)
    inside = masks.sigmoid()
    dice = 1 - (2 * (inside * truth).sum(2) + 1) / (inside.sum(2) + truth.sum(2) + 1)
    return (entropy * valid).sum() / count, (dice * valid).sum() / count
