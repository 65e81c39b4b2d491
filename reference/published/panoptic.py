"""Mask2Former's panoptic inference as published, in PyTorch: what its code runs after the network on every image.

Source: https://github.com/facebookresearch/Mask2Former, ``mask2former/maskformer_model.py``, and detectron2's
``sem_seg_postprocess``. As there, the masks of all queries are resized before any is left out.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


def panoptic(
    logits: Tensor,
    masks: Tensor,
    *,
    padded_size: Size,
    image_size: Size,
    output_size: Size,
    things: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> Tensor:
    """Return the segment map, int32 (H, W).

    Arguments are those of `pem_edge.runtime.postprocess.panoptic`, with logits as tensors.
    """
    resized = resize(masks, padded_size, image_size, output_size)
    scores, classes = F.softmax(logits, dim=-1).max(-1)
    probabilities = resized.sigmoid()
    keep = classes.ne(logits.shape[-1] - 1) & (scores > score_threshold)
    return merge(scores[keep], classes[keep], probabilities[keep], things, overlap_threshold)


def resize(masks: Tensor, padded_size: Size, image_size: Size, output_size: Size) -> Tensor:
    """Return mask logits (Q, H, W): resized to the padded input, cropped to the image, resized to the output."""
    padded = F.interpolate(masks[None], size=padded_size, mode="bilinear", align_corners=False)
    image = padded[..., : image_size[0], : image_size[1]]
    return F.interpolate(image, size=output_size, mode="bilinear", align_corners=False)[0]


def merge(scores: Tensor, classes: Tensor, masks: Tensor, things: Collection[int], overlap_threshold: float) -> Tensor:
    """Return the segment map of the queries that were kept; ``masks`` are probabilities, (C, H, W)."""
    segment_map = torch.zeros(masks.shape[1:], dtype=torch.int32)
    if not len(masks):
        return segment_map
    winners = (scores.view(-1, 1, 1) * masks).argmax(0)
    segments, stuff = 0, dict[int, int]()
    for k, category in enumerate(classes.tolist()):
        area, original = (winners == k).sum().item(), (masks[k] >= 0.5).sum().item()
        visible = (winners == k) & (masks[k] >= 0.5)
        if not (area > 0 and original > 0 and visible.sum().item() > 0) or area / original < overlap_threshold:
            continue
        if category in stuff:
            segment_map[visible] = stuff[category]
            continue
        segments += 1
        if category not in things:
            stuff[category] = segments
        segment_map[visible] = segments
    return segment_map
