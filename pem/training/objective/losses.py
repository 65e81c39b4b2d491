"""Mask2Former's losses (Cheng et al., CVPR 2022): classes, mask cross-entropy, Dice; of all layers at once.

Each is a sum over layers, so that supervising one more prediction leaves the others' gradients as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def class_targets(matched: Tensor, classes: Tensor, queries: int, no_object: int) -> Tensor:
    """Return the class that every query should predict, int64 (N, L, Q).

    ``matched`` (N, L, S) is the query of each segment, ``classes`` (N, S) its class.
    """
    n, layers, _ = matched.shape
    targets = classes.new_full((n, layers, queries + 1), no_object)
    # What is matched to nobody goes to one more place, which is then cut off.
    targets.scatter_(2, matched.where(matched >= 0, queries), classes.unsqueeze(1).expand_as(matched))
    return targets[..., :queries]


def class_loss(logits: Tensor, targets: Tensor, no_object_weight: float) -> Tensor:
    """Return the cross-entropy of ``logits`` (N, L, Q, K+1) with ``targets`` (N, L, Q), weighted within a layer."""
    last = logits.shape[3] - 1
    entropy = F.cross_entropy(logits.float().flatten(0, 2), targets.flatten(), reduction="none").view_as(targets)
    weight = torch.where(targets == last, no_object_weight, 1.0)
    return ((entropy * weight).sum((0, 2)) / weight.sum((0, 2))).sum()


def mask_losses(masks: Tensor, truth: Tensor, valid: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and Dice of ``masks`` (N, M, P) with ``truth`` (N, M, P), 0 or 1, where ``valid`` (N, M).

    Each is a mean over a mask's points, summed over masks and divided by ``segments``, the number that a layer has to
    find.
    """
    masks, truth = masks.float(), truth.to(torch.float32)
    entropy = F.binary_cross_entropy_with_logits(masks, truth, reduction="none").mean(2)
    inside = masks.sigmoid()
    dice = 1 - (2 * (inside * truth).sum(2) + 1) / (inside.sum(2) + truth.sum(2) + 1)
    return (entropy * valid).sum() / segments, (dice * valid).sum() / segments
