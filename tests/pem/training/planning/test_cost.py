"""The cost of a step is estimated from small ones, which leave the model and the random numbers as they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from pem_edge.pem.training.planning import cost
from pem_edge.pem.training.planning.cost import Cost
from pem_edge.pem.training.planning.plan import Wish, make_plan
from pem_edge.pem.training.planning.recipes import FINE_TUNING
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.datasets.tasks import for_task
from pem_edge.runtime.errors import TrainingError
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY

ALONE = Processes(0, 1, 1, torch.device("cpu"))
SETTINGS = TrainingSettings(size=(64, 64), precision="fp32")


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


def test_a_trial_changes_neither_the_model_nor_what_is_random_afterwards() -> None:
    model = TINY.build(len(LABELS)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    cost.measure(model, Boxes(), SETTINGS, ALONE)
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_larger_crops_cost_more_memory_in_proportion() -> None:
    model = TINY.build(len(LABELS)).train()
    small, large = (
        cost.measure(model, Boxes(), replace(SETTINGS, size=size), ALONE) for size in ((64, 64), (128, 128))
    )
    assert small.fixed_bytes == large.fixed_bytes
    assert large.bytes_per_image == pytest.approx(4 * small.bytes_per_image, rel=0.3)


def test_a_frozen_backbone_costs_less() -> None:
    model = TINY.build(len(LABELS)).train()
    whole, frozen = (cost.measure(model, Boxes(), replace(SETTINGS, freeze=part), ALONE) for part in (None, "backbone"))
    assert frozen.fixed_bytes < whole.fixed_bytes
    assert frozen.bytes_per_image < whole.bytes_per_image
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_training_in_simulated_int8_costs_more() -> None:
    model = TINY.build(len(LABELS)).train()
    usual, simulated = (cost.measure(model, Boxes(), replace(SETTINGS, qat=qat), ALONE) for qat in (False, True))
    assert simulated.bytes_per_image > usual.bytes_per_image


@pytest.mark.parametrize(
    ("most", "free", "batch"), [(32, 1000, 32), (32, 420, 32), (32, 419, 16), (32, 150, 4), (12, 219, 6), (32, 0, 2)]
)
def test_the_batch_is_halved_until_it_fits(most: int, free: int, batch: int) -> None:
    assert Cost(1.0, fixed_bytes=100, bytes_per_image=10).largest_batch(most, free) == batch


def test_few_images_are_not_seen_all_at_once() -> None:
    model = TINY.build(len(LABELS)).train()
    batches = [make_plan(model, Boxes(n), Wish(FINE_TUNING, {"size": (64, 64)}), ALONE).settings for n in (2, 12, 40)]
    assert [settings.batch for settings in batches] == [2, 2, 8]


def test_minutes_decide_the_steps() -> None:
    model = TINY.build(len(LABELS)).train()
    wish = Wish(FINE_TUNING, {"size": (64, 64), "batch": 4}, minutes=2.0)
    for held in (0, 10):
        plan = make_plan(model, Boxes(), replace(wish, held=held), ALONE)
        share = 0.8 if held else 1.0
        assert plan.settings.steps * plan.cost.seconds(4) == pytest.approx(120 * share, rel=0.05)
        assert plan.seconds <= 125
        assert plan.settings.input_size == (64, 64)


def test_evaluations_take_a_fifth_of_the_time_at_most_but_there_is_one() -> None:
    model = TINY.build(len(LABELS)).train()
    wish = Wish(FINE_TUNING, {"size": (64, 64), "batch": 2, "steps": 50}, held=100_000)
    assert make_plan(model, Boxes(), wish, ALONE).settings.validate_every == 50
    few = make_plan(model, Boxes(), replace(wish, held=1), ALONE).settings
    assert few.validate_every == 5


def test_what_needs_things_is_left_out_where_there_are_none() -> None:
    model = TINY.build(len(LABELS)).train()
    wish = Wish(FINE_TUNING, {"size": (64, 64)})
    semantic = for_task(Boxes(), "semantic")
    assert "copy-paste" in make_plan(model, Boxes(), wish, ALONE).settings.augmentations
    assert "copy-paste" not in make_plan(model, semantic, wish, ALONE).settings.augmentations


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    model = TINY.build(len(LABELS)).train()
    wish = Wish(FINE_TUNING, {"size": (64, 64), "batch": 3})
    with pytest.raises(TrainingError, match="expected a multiple of the number of processes, 2"):
        make_plan(model, Boxes(), wish, replace(ALONE, world_size=2))
