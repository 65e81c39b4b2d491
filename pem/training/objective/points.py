"""Masks are supervised at points, not pixels (Kirillov et al., "PointRend", CVPR 2020).

Sampling and the product with a mask embedding commute: features are sampled once per image, at points that all its
queries share, and every mask's logits there are a product away.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

OVERSAMPLING = 3
"""Candidates per point, of which the most uncertain are kept."""

IMPORTANT = 0.75
"""Share of the points that are kept for their uncertainty; the others are uniformly random."""

_DENSITY = 3 / 8
"""Most points per pixel of the stride-4 map: what 12544 points are to the paper's 512x1024 crops."""


@dataclass(frozen=True)
class PointPlan:
    """How many points a mask is supervised at: ``important`` out of ``candidates``, and ``uniform`` others."""

    candidates: int
    important: int
    uniform: int

    @staticmethod
    def of(points: int, mask_size: tuple[int, int]) -> PointPlan:
        """Return the plan for ``points`` a mask, fewer where a mask of ``mask_size`` pixels has too little to see."""
        points = max(4, min(points, int(mask_size[0] * mask_size[1] * _DENSITY)))
        important = int(points * IMPORTANT)
        return PointPlan(points * OVERSAMPLING, important, points - important)

    @property
    def total(self) -> int:
        """Points to draw per image: first the candidates, then the uniform ones."""
        return self.candidates + self.uniform

    @property
    def kept(self) -> int:
        """Points a mask is supervised at."""
        return self.important + self.uniform


def draw(images: int, count: int, generator: torch.Generator) -> Tensor:
    """Return uniform points (N, P, 2) as x, y from 0 to 1, on the generator's device."""
    return torch.rand(images, count, 2, generator=generator, device=generator.device)


def sample_features(features: Tensor, points: Tensor) -> Tensor:
    """Return bilinear values (N, C, 1, P) of ``features`` (N, C, H, W) at ``points`` (N, P, 2)."""
    grid = points.unsqueeze(1) * 2 - 1
    return F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sample_truth(owners: Tensor, points: Tensor) -> Tensor:
    """Return which segment owns each of ``points`` (N, P, 2): values (N, P) of ``owners`` (N, H, W)."""
    height, width = owners.shape[1:]
    columns = (points[..., 0] * width).long().clamp(max=width - 1)
    rows = (points[..., 1] * height).long().clamp(max=height - 1)
    return owners.flatten(1).gather(1, rows * width + columns)


def keep_uncertain(logits: Tensor, owners: Tensor, plan: PointPlan) -> tuple[Tensor, Tensor]:
    """Return the planned points of every mask's ``logits`` (N, M, total): logits and ``owners``, (N, M, kept)."""
    candidates = logits[..., : plan.candidates].detach()
    chosen = candidates.abs().topk(plan.important, dim=2, largest=False, sorted=False).indices
    everyone = owners.unsqueeze(1).expand(-1, logits.shape[1], -1)
    kept_logits = torch.cat([logits.gather(2, chosen), logits[..., plan.candidates :]], dim=2)
    return kept_logits, torch.cat([everyone.gather(2, chosen), everyone[..., plan.candidates :]], dim=2)
