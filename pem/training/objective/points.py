"""Points at which masks are supervised instead of at all pixels (Kirillov et al., "PointRend", CVPR 2020).

Sampling commutes with the product of mask features and mask embeddings. All queries of an image therefore share its
points: the features are sampled there once, and mask logits are the product of the samples and the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

OVERSAMPLE_RATIO = 3
"""Number of candidates per point of a mask."""

IMPORTANCE_RATIO = 0.75
"""Fraction of a mask's points that are its most uncertain candidates; the others are uniformly distributed."""

_MAX_DENSITY = 3 / 8
"""Maximum number of points per pixel of the stride-4 mask: about 12544 points for the paper's 512x1024 crops."""


@dataclass(frozen=True)
class PointPlan:
    """The numbers of points that are drawn per image and kept per mask.

    Attributes:
        candidates: Number of candidates, shared by the masks of an image.
        important: Number of candidates that each mask keeps: those where it is most uncertain.
        uniform: Number of further points that all masks keep.
    """

    candidates: int
    important: int
    uniform: int

    @staticmethod
    def for_mask(points: int, mask_size: tuple[int, int]) -> PointPlan:
        """Return the plan for ``points`` per mask, or fewer if masks of ``mask_size`` (height, width) are small."""
        points = max(4, min(points, int(mask_size[0] * mask_size[1] * _MAX_DENSITY)))
        important = int(points * IMPORTANCE_RATIO)
        return PointPlan(points * OVERSAMPLE_RATIO, important, points - important)

    @property
    def total(self) -> int:
        """Number of points to draw per image: first the candidates, then the uniform points."""
        return self.candidates + self.uniform

    @property
    def kept(self) -> int:
        """Number of points at which each mask is supervised."""
        return self.important + self.uniform


def draw_points(images: int, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` random points per image as (x, y) from 0 to 1, (N, P, 2), on the device of ``generator``."""
    return torch.rand(images, count, 2, generator=generator, device=generator.device)


def sample_features(features: Tensor, points: Tensor) -> Tensor:
    """Interpolate ``features`` (N, C, H, W) bilinearly at ``points`` (N, P, 2); return (N, C, 1, P)."""
    grid = points.unsqueeze(1) * 2 - 1
    return F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sample_segments(segment_map: Tensor, points: Tensor) -> Tensor:
    """Return the segment that each of ``points`` (N, P, 2) lies in, (N, P), according to ``segment_map`` (N, H, W)."""
    height, width = segment_map.shape[1:]
    columns = (points[..., 0] * width).long().clamp(max=width - 1)
    rows = (points[..., 1] * height).long().clamp(max=height - 1)
    return segment_map.flatten(1).gather(1, rows * width + columns)


def keep_uncertain(logits: Tensor, segments: Tensor, plan: PointPlan) -> tuple[Tensor, Tensor]:
    """Keep, for each mask, its most uncertain candidates and all uniform points.

    Args:
        logits: Mask logits of M masks at all points, (N, M, total).
        segments: Segment that each point lies in, (N, total).
        plan: The numbers of points.

    Returns:
        The mask logits and the segments at the points kept, each (N, M, kept).
    """
    candidates = logits[..., : plan.candidates].detach()
    chosen = candidates.abs().topk(plan.important, dim=2, largest=False, sorted=False).indices
    per_mask = segments.unsqueeze(1).expand(-1, logits.shape[1], -1)
    kept_logits = torch.cat([logits.gather(2, chosen), logits[..., plan.candidates :]], dim=2)
    return kept_logits, torch.cat([per_mask.gather(2, chosen), per_mask[..., plan.candidates :]], dim=2)
