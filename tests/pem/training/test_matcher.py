"""The matcher: its costs equal plain loops in float64, its assignment is the cheapest there is."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pem_edge.pem.training.objective.matcher import UNMATCHED, costs, match
from pem_edge.pem.training.settings import LossWeights

WEIGHTS = LossWeights(classes=2.0, entropy=5.0, dice=3.0)


def problem(
    images: int, layers: int, queries: int, segments: list[int], points: int = 40, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return random predictions of 4 classes, and truths with the numbers of ``segments`` given."""
    generator = torch.Generator().manual_seed(seed)
    most = max(1, *segments)
    logits = 2 * torch.randn(images, layers, queries, 5, generator=generator)
    masks = 3 * torch.randn(images, layers, queries, points, generator=generator)
    classes = torch.randint(4, (images, most), generator=generator)
    for row, count in zip(classes, segments, strict=True):
        row[count:] = -1
    truth = torch.rand(images, most, points, generator=generator) < 0.3
    return logits, masks, classes, truth


def plain_cost(logits: NDArray[Any], mask: NDArray[Any], category: int, truth: NDArray[Any]) -> float:
    """Return what one query costs for one segment."""
    chances = [math.exp(x) for x in logits]
    probability = chances[category] / sum(chances)
    inside = [1 / (1 + math.exp(-x)) for x in mask]
    entropy = [-math.log(p if wanted else 1 - p) for p, wanted in zip(inside, truth, strict=True)]
    shared = sum(p for p, wanted in zip(inside, truth, strict=True) if wanted)
    dice = 1 - (2 * shared + 1) / (sum(inside) + sum(truth) + 1)
    return float(WEIGHTS.entropy * sum(entropy) / len(entropy) + WEIGHTS.dice * dice - WEIGHTS.classes * probability)


def test_costs_equal_plain_loops() -> None:
    logits, masks, classes, truth = problem(2, 3, 4, [3, 3])
    found = costs(logits, masks, classes, truth, WEIGHTS)
    assert found.shape == (2, 3, 4, 3)
    wide, narrow = [x.double().numpy() for x in (logits, masks)], [x.numpy() for x in (classes, truth)]
    for n, layer, query, segment in np.ndindex(*found.shape):
        expected = plain_cost(
            wide[0][n, layer, query], wide[1][n, layer, query], int(narrow[0][n, segment]), narrow[1][n, segment]
        )
        assert found[n, layer, query, segment].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_no_assignment_is_cheaper() -> None:
    inputs = problem(3, 2, 5, [3, 3, 3])
    cost = costs(*inputs, WEIGHTS)
    matched = match(*inputs, WEIGHTS)
    for n, layer in np.ndindex(3, 2):
        table, chosen = cost[n, layer], matched[n, layer].tolist()
        assert len(set(chosen)) == 3
        total = sum(float(table[query, segment]) for segment, query in enumerate(chosen))
        best = min(
            sum(float(table[query, segment]) for segment, query in enumerate(order))
            for order in itertools.permutations(range(5), 3)
        )
        assert total == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("segments", [[0, 0], [0, 2], [2, 5]])
def test_padding_and_surplus_segments_match_nobody(segments: list[int]) -> None:
    """Three queries: an image may have no segment, or more of them than there are queries."""
    matched = match(*problem(2, 2, 3, segments), WEIGHTS)
    for n, count in enumerate(segments):
        assert (matched[n, :, count:] == UNMATCHED).all()
        assert ((matched[n] != UNMATCHED).sum(dim=1) == min(count, 3)).all()


def test_predictions_that_are_not_numbers_are_matched_all_the_same() -> None:
    """The trainer reports them by the loss, which needs a matching first."""
    logits, masks, classes, truth = problem(1, 1, 3, [2])
    matched = match(torch.full_like(logits, torch.nan), masks * torch.inf, classes, truth, WEIGHTS)
    assert len(set(matched.flatten().tolist())) == 2
