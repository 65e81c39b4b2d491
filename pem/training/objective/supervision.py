"""The model and what it should have said: losses of every prediction, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pem_edge.pem.layers.deform_conv import DeformConv2d, ModulatedDeformConv
from pem_edge.pem.layers.deformable_attention import DeformableAttention, DeformableSampling, Size
from pem_edge.pem.model import PEM
from pem_edge.pem.training.objective import losses, points
from pem_edge.pem.training.objective.matcher import match
from pem_edge.pem.training.objective.points import PointPlan
from pem_edge.pem.training.settings import LossWeights

LOSSES = ("class", "mask", "dice")


class Supervised(nn.Module):
    """A model whose ``forward`` gives losses, so that torch's DistributedDataParallel can wrap it."""

    def __init__(self, model: PEM, weights: LossWeights) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        for module in model.modules():
            if isinstance(module, ModulatedDeformConv):
                module.operator = _WithExactPlaces()
            elif isinstance(module, DeformableAttention):
                module.operator = _SamplingWithExactPlaces()

    def forward(
        self, images: Tensor, owners: Tensor, classes: Tensor, where: Tensor, plan: PointPlan, segments: Tensor
    ) -> Tensor:
        """Return the weighted `LOSSES`, float32 (3), each summed over the predictions; training minimizes their sum."""
        mask_features, levels = self.model.pixel_decoder(self.model.backbone(self.model.normalize(images)))
        first, *others = self.model.decoder.states(levels, mask_features)
        states = torch.stack([first.expand(len(images), -1, -1), *others], dim=1)
        features, owners = points.sample_features(mask_features, where), points.sample_truth(owners, where)
        # The candidates are in no order, so the last of them are as random as any, and enough to match by.
        matching = slice(plan.candidates - plan.kept, plan.candidates)
        class_loss, matched = self._classify(states, features[..., matching].detach(), owners[:, matching], classes)
        entropy, dice = self._outline(states, features, owners, matched, plan, segments)
        weights = self.weights
        return torch.stack([weights.classes * class_loss, weights.entropy * entropy, weights.dice * dice])

    def _classify(self, states: Tensor, features: Tensor, owners: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class loss of all ``states`` (N, L, Q, C), and the query of every segment in each, (N, L, S)."""
        n, layers, queries, _ = states.shape
        logits, masks = self.model.decoder.predict(states.flatten(1, 2), features)
        logits = logits.reshape(n, layers, queries, -1)
        masks = masks.detach().reshape(n, layers, queries, -1)
        truth = owners[:, None] == _numbers(classes)
        matched = match(logits.detach(), masks, classes, truth, self.weights)
        targets = losses.class_targets(matched, classes, queries, self.model.num_classes)
        return losses.class_loss(logits, targets, self.weights.no_object), matched

    def _outline(
        self, states: Tensor, features: Tensor, owners: Tensor, matched: Tensor, plan: PointPlan, segments: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return cross-entropy and Dice of the masks of the ``matched`` queries (N, L, S) where they are least sure."""
        layers, queries = states.shape[1:3]
        places = matched.clamp(min=0) + queries * torch.arange(layers, device=matched.device)[:, None]
        places = places.flatten(1).unsqueeze(2).expand(-1, -1, states.shape[3])
        _, masks = self.model.decoder.predict(states.flatten(1, 2).gather(1, places), features)
        logits, owners = points.keep_uncertain(masks.flatten(2), owners, plan)
        truth = owners == _numbers(matched[:, 0]).repeat(layers, 1)
        return losses.mask_losses(logits, truth, (matched >= 0).flatten(1), segments)


def _numbers(segments: Tensor) -> Tensor:
    """Return 0 to S-1 as (S, 1), for ``segments`` (N, S)."""
    return torch.arange(segments.shape[1], device=segments.device).unsqueeze(1)


class _WithExactPlaces(DeformConv2d):
    """For autocast: an offset fits bfloat16, but its sum with a place among many pixels does not."""

    def forward(self, data: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super().forward(data, offsets.float(), mask, weight, bias)


class _SamplingWithExactPlaces(DeformableSampling):
    """For autocast, as above."""

    def forward(self, values: Tensor, offsets: Tensor, scores: Tensor, sizes: Sequence[Size]) -> Tensor:
        return super().forward(values, offsets.float(), scores, sizes)
