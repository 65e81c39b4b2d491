"""The losses equal plain loops in float64; points are where they should be."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.pem.training.objective import losses, points
from pem_edge.pem.training.objective.matcher import UNMATCHED
from pem_edge.pem.training.objective.points import PointPlan


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_class_targets_follow_the_matching() -> None:
    matched = torch.tensor([[[2, 0, UNMATCHED], [1, 3, UNMATCHED]]])
    targets = losses.class_targets(matched, torch.tensor([[5, 6, -1]]), queries=4, no_object=9)
    assert targets.tolist() == [[[6, 9, 5, 9], [9, 5, 9, 6]]]


def test_class_loss_equals_a_plain_loop(generator: torch.Generator) -> None:
    logits = 3 * torch.randn(2, 3, 4, 6, generator=generator)
    targets = torch.randint(6, (2, 3, 4), generator=generator)
    expected = 0.0
    for layer in range(3):
        total = weights = 0.0
        for n, query in np.ndindex(2, 4):
            values = logits[n, layer, query].double().tolist()
            target = int(targets[n, layer, query])
            weight = 0.1 if target == 5 else 1.0
            total += weight * (math.log(sum(math.exp(x) for x in values)) - values[target])
            weights += weight
        expected += total / weights
    assert losses.class_loss(logits, targets, 0.1).item() == pytest.approx(expected, rel=1e-5)


def test_mask_losses_equal_plain_loops(generator: torch.Generator) -> None:
    masks = 4 * torch.randn(2, 3, 50, generator=generator)
    truth = torch.rand(2, 3, 50, generator=generator) < 0.4
    valid = torch.tensor([[True, True, False], [True, False, False]])
    entropy = dice = 0.0
    for n, m in valid.nonzero().tolist():
        inside = [1 / (1 + math.exp(-x)) for x in masks[n, m].double().tolist()]
        wanted = truth[n, m].tolist()
        entropy -= sum(math.log(p if t else 1 - p) for p, t in zip(inside, wanted, strict=True)) / 50
        shared = sum(p for p, t in zip(inside, wanted, strict=True) if t)
        dice += 1 - (2 * shared + 1) / (sum(inside) + sum(wanted) + 1)
    found = losses.mask_losses(masks, truth, valid, torch.tensor(3.0))
    assert [x.item() for x in found] == pytest.approx([entropy / 3, dice / 3], rel=1e-5)


def test_a_batch_without_segments_costs_no_mask_loss_and_has_gradients() -> None:
    masks = torch.randn(2, 1, 20, requires_grad=True)
    entropy, dice = losses.mask_losses(
        masks, torch.zeros(2, 1, 20, dtype=torch.bool), torch.zeros(2, 1, dtype=torch.bool), torch.tensor(1.0)
    )
    (entropy + dice).backward()  # type: ignore[no-untyped-call]
    assert (entropy.item(), dice.item()) == (0.0, 0.0)
    assert masks.grad is not None
    assert not masks.grad.any()


@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 999))
def test_truth_at_a_point_is_the_pixel_it_lies_in(height: int, width: int, seed: int) -> None:
    segment_map = torch.arange(height * width).reshape(1, height, width)
    where = torch.rand(1, 20, 2, generator=torch.Generator().manual_seed(seed))
    found = points.sample_segments(segment_map, where)[0].tolist()
    expected = [int(y * height) * width + int(x * width) for x, y in where[0].double().tolist()]
    assert found == expected


def test_features_at_pixel_centers_are_the_pixels(generator: torch.Generator) -> None:
    features = torch.randn(1, 2, 3, 4, generator=generator)
    centers = torch.tensor([[[(x + 0.5) / 4, (y + 0.5) / 3] for y in range(3) for x in range(4)]])
    found = points.sample_features(features, centers)
    torch.testing.assert_close(found[0, :, 0], features[0].flatten(1))


def test_sampling_commutes_with_the_product(generator: torch.Generator) -> None:
    """What lets all masks share the points of an image."""
    features, embeddings = torch.randn(2, 5, 6, 7, generator=generator), torch.randn(2, 3, 5, generator=generator)
    where = torch.rand(2, 30, 2, generator=generator)
    masks = torch.einsum("nqc,nchw->nqhw", embeddings, features)
    sampled_first = embeddings @ points.sample_features(features, where)[:, :, 0]
    torch.testing.assert_close(sampled_first, points.sample_features(masks, where)[:, :, 0], atol=1e-5, rtol=1e-5)


def test_the_most_uncertain_candidates_are_kept(generator: torch.Generator) -> None:
    plan = PointPlan(candidates=30, important=6, uniform=2)
    logits = torch.randn(1, 2, plan.total, generator=generator)
    segment_map = torch.arange(plan.total).unsqueeze(0)
    kept, places = points.keep_uncertain(logits, segment_map, plan)
    assert kept.shape == places.shape == (1, 2, plan.kept)
    for m in range(2):
        expected = sorted(range(30), key=lambda i: abs(float(logits[0, m, i])))[:6]
        assert set(places[0, m].tolist()) == {*expected, 30, 31}
        assert torch.equal(kept[0, m], logits[0, m, places[0, m]])


@pytest.mark.parametrize(
    ("asked", "size", "kept"),
    [(12544, (128, 256), 12288), (12544, (256, 256), 12544), (100, (64, 64), 100), (50, (1, 2), 4)],
)
def test_small_masks_are_seen_at_fewer_points(asked: int, size: tuple[int, int], kept: int) -> None:
    plan = PointPlan.for_mask(asked, size)
    assert (plan.kept, plan.candidates) == (kept, 3 * kept)
