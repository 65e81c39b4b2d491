"""Computes the losses of all predictions of a model in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pem_edge.pem.layers.deform_conv import DeformConv2d, ModulatedDeformConv
from pem_edge.pem.layers.deformable_attention import DeformableAttention, DeformableSampling, LevelSize
from pem_edge.pem.model import PEM
from pem_edge.pem.training.objective import losses, points
from pem_edge.pem.training.objective.matcher import match
from pem_edge.pem.training.objective.points import PointPlan
from pem_edge.pem.training.settings import LossWeights

LOSSES = ("class", "mask", "dice")
"""Names of the losses, in the order in which `Supervised` returns them."""


class Supervised(nn.Module):
    """A module around a model that returns its losses, so that ``DistributedDataParallel`` can wrap both.

    Changes the model's operators, in place, so that they compute sampling locations in single precision.
    """

    def __init__(self, model: PEM, weights: LossWeights) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        for module in model.modules():
            if isinstance(module, ModulatedDeformConv):
                module.operator = _ExactDeformConv()
            elif isinstance(module, DeformableAttention):
                module.operator = _ExactSampling()

    def forward(
        self, images: Tensor, segment_map: Tensor, classes: Tensor, locations: Tensor, plan: PointPlan, count: Tensor
    ) -> Tensor:
        """Return the weighted `LOSSES`, float32 (3), each summed over the predictions; training minimizes their sum.

        Args:
            images: RGB uint8, (N, H, W, 3).
            segment_map: Number of the segment that each pixel belongs to, or negative, int64 (N, H, W).
            classes: Class of each segment, int64 (N, S), negative for padding.
            locations: Points at which masks are supervised, (x, y) from 0 to 1, (N, P, 2), drawn as in ``plan``.
            plan: The numbers of points.
            count: Number of segments in the batch, averaged over processes, a scalar.
        """
        mask_features, levels = self.model.pixel_decoder(self.model.backbone(self.model.normalize(images)))
        first, *others = self.model.decoder.states(levels, mask_features)
        states = torch.stack([first.expand(len(images), -1, -1), *others], dim=1)
        features = points.sample_features(mask_features, locations)
        segments = points.sample_segments(segment_map, locations)
        # Fewer points suffice for matching. The order of the candidates is random, so any of them will do.
        matching = slice(plan.candidates - plan.kept, plan.candidates)
        class_loss, matched = self._match(states, features[..., matching].detach(), segments[:, matching], classes)
        entropy, dice = self._mask_losses(states, features, segments, matched, plan, count)
        weights = self.weights
        return torch.stack([weights.classes * class_loss, weights.entropy * entropy, weights.dice * dice])

    def _match(self, states: Tensor, features: Tensor, segments: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Match segments to queries in all ``states`` (N, L, Q, C).

        Args:
            states: The queries before the first layer and after each.
            features: Mask features at the points for matching, (N, M, 1, P).
            segments: Segment that each of these points lies in, (N, P).
            classes: Class of each segment, (N, S).

        Returns:
            The class loss, a scalar, and the query of each segment, (N, L, S).
        """
        n, layers, queries, _ = states.shape
        logits, masks = self.model.decoder.predict(states.flatten(1, 2), features)
        logits = logits.reshape(n, layers, queries, -1)
        masks = masks.detach().reshape(n, layers, queries, -1)
        truth = segments[:, None] == _segment_numbers(classes)
        matched = match(logits.detach(), masks, classes, truth, self.weights)
        targets = losses.class_targets(matched, classes, queries, self.model.num_classes)
        return losses.class_loss(logits, targets, self.weights.no_object), matched

    def _mask_losses(
        self, states: Tensor, features: Tensor, segments: Tensor, matched: Tensor, plan: PointPlan, count: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return cross-entropy and Dice loss of the masks of ``matched`` queries (N, L, S), a scalar each."""
        layers, queries = states.shape[1:3]
        indices = matched.clamp(min=0) + queries * torch.arange(layers, device=matched.device)[:, None]
        indices = indices.flatten(1).unsqueeze(2).expand(-1, -1, states.shape[3])
        _, masks = self.model.decoder.predict(states.flatten(1, 2).gather(1, indices), features)
        logits, segments = points.keep_uncertain(masks.flatten(2), segments, plan)
        truth = segments == _segment_numbers(matched[:, 0]).repeat(layers, 1)
        return losses.mask_losses(logits, truth, (matched >= 0).flatten(1), count)


def _segment_numbers(per_segment: Tensor) -> Tensor:
    """Return 0 to S-1, (S, 1), for a tensor (N, S)."""
    return torch.arange(per_segment.shape[1], device=per_segment.device).unsqueeze(1)


class _ExactDeformConv(DeformConv2d):
    """Computes sampling locations in float32: under autocast, bfloat16 would round them to whole pixels and worse."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super().forward(data, offsets.float(), mask, weight, bias)


class _ExactSampling(DeformableSampling):
    """Computes sampling locations in float32, like `_ExactDeformConv`."""

    def forward(self, values: Tensor, offsets: Tensor, logits: Tensor, sizes: Sequence[LevelSize]) -> Tensor:
        return super().forward(values, offsets.float(), logits, sizes)
