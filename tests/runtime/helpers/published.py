"""Mask2Former's inference as published, transcribed step by step to NumPy in float64: the reference for ours.

Source: https://github.com/facebookresearch/Mask2Former, mask2former/maskformer_model.py.
"""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Array = NDArray[np.floating]


def resized(masks: Array, padded_size: Size, image_size: Size, output_size: Size) -> Array:
    """Mask logits (Q, h, w) at the output's size: up by 4, cropped to the image, resized."""
    return np.stack([_resized(mask, padded_size, image_size, output_size) for mask in masks.astype(np.float64)])


def _resized(mask: Array, padded_size: Size, image_size: Size, output_size: Size) -> Array:
    padded = cv2.resize(mask, padded_size[::-1], interpolation=cv2.INTER_LINEAR)
    image = padded[: image_size[0], : image_size[1]]
    return np.asarray(cv2.resize(image, output_size[::-1], interpolation=cv2.INTER_LINEAR), np.float64)


def panoptic(
    logits: Array,
    masks: Array,
    *,
    things: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
    **sizes: Size,
) -> tuple[NDArray[np.int32], list[tuple[int, int, bool]]]:
    """Return the map, and its segments as (id, category, isthing)."""
    probabilities = _softmax(logits)
    scores, labels = probabilities.max(-1), probabilities.argmax(-1)
    mask_pred = _sigmoid(resized(masks, **sizes))
    keep = (labels != logits.shape[-1] - 1) & (scores > score_threshold)
    cur_scores, cur_classes, cur_masks = scores[keep], labels[keep], mask_pred[keep]
    panoptic_seg = np.zeros(sizes["output_size"], np.int32)
    segments_info: list[tuple[int, int, bool]] = []
    if len(cur_masks) == 0:
        return panoptic_seg, segments_info
    cur_mask_ids = (cur_scores[:, None, None] * cur_masks).argmax(0)
    stuff_memory_list: dict[int, int] = {}
    for k in range(len(cur_classes)):
        pred_class = int(cur_classes[k])
        isthing = pred_class in things
        mask_area = (cur_mask_ids == k).sum()
        original_area = (cur_masks[k] >= 0.5).sum()
        mask = (cur_mask_ids == k) & (cur_masks[k] >= 0.5)
        if not (mask_area > 0 and original_area > 0 and mask.sum() > 0):
            continue
        if mask_area / original_area < overlap_threshold:
            continue
        if not isthing and pred_class in stuff_memory_list:
            panoptic_seg[mask] = stuff_memory_list[pred_class]
            continue
        current_segment_id = len(segments_info) + 1
        if not isthing:
            stuff_memory_list[pred_class] = current_segment_id
        panoptic_seg[mask] = current_segment_id
        segments_info.append((current_segment_id, pred_class, isthing))
    return panoptic_seg, segments_info


def semantic_scores(logits: Array, masks: Array, **sizes: Size) -> Array:
    """Score of every class at every pixel (K, H, W); the map is its argmax."""
    return np.tensordot(_softmax(logits)[:, :-1], _sigmoid(resized(masks, **sizes)), axes=(0, 0))


def instances(
    logits: Array, masks: Array, *, things: Collection[int], top_k: int = 100, **sizes: Size
) -> list[tuple[float, int, NDArray[np.bool_]]]:
    """Return every instance as (score, category, mask), best first, those without pixels among them."""
    scores = _softmax(logits)[:, :-1]
    mask_pred = resized(masks, **sizes)
    found = []
    for pair in np.argsort(-scores.ravel(), kind="stable")[:top_k]:
        query, label = divmod(int(pair), scores.shape[1])
        if label in things:
            pred_mask = mask_pred[query] > 0
            mask_score = (_sigmoid(mask_pred[query]) * pred_mask).sum() / (pred_mask.sum() + 1e-6)
            found.append((float(scores[query, label] * mask_score), label, pred_mask))
    return sorted(found, key=lambda instance: -instance[0])


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits.astype(np.float64))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))
