"""A recipe is scaled to the images and to the batch, and what is asked for wins."""

from __future__ import annotations

import math

import pytest

from pem_edge.pem.training.planning import recipes, sizes
from pem_edge.pem.training.planning.recipes import Recipe
from pem_edge.pem.training.settings import TrainingSettings
from tests.helpers.boxes import Boxes

ALL = (recipes.FROM_SCRATCH, recipes.FROM_BACKBONE, recipes.FINE_TUNING, recipes.QAT)


def test_the_paper_s_run_on_cityscapes_is_the_paper_s() -> None:
    found = recipes.FROM_BACKBONE.settings_for(2975, 32, {})
    paper = TrainingSettings()
    assert found.steps == paper.steps
    assert found.learning_rate == pytest.approx(paper.learning_rate)
    assert found.ema == pytest.approx(paper.ema, abs=3e-5)
    assert (found.warmup, found.clip, found.scale) == (paper.warmup, paper.clip, paper.scale)


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.purpose)
def test_few_images_take_fewer_steps_and_more_never_do(recipe: Recipe) -> None:
    steps = [recipe.steps_for(images, 8) for images in (1, 10, 100, 1000, 10_000, 100_000)]
    assert steps == sorted(steps)
    assert steps[0] >= 300
    assert steps[-1] * 8 <= recipe.settings.steps * recipe.settings.batch


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.purpose)
def test_a_smaller_batch_sees_as_many_images_at_a_smaller_rate(recipe: Recipe) -> None:
    large, small = (recipe.settings_for(5000, batch, {}) for batch in (16, 4))
    assert small.steps * 4 == pytest.approx(large.steps * 16, abs=16)
    assert small.learning_rate == pytest.approx(large.learning_rate / math.sqrt(4))


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.purpose)
@pytest.mark.parametrize("steps", [1, 7, 20, 10_000])
def test_any_number_of_steps_gives_settings_that_can_be(recipe: Recipe, steps: int) -> None:
    found = recipe.settings_for(3, 2, {"steps": steps})
    assert found.steps == steps
    assert found.warmup <= max(1, steps // 10)
    assert found.validate_every <= max(1, steps // 10)
    assert 1 <= found.validate_every <= steps


def test_what_is_asked_for_wins() -> None:
    asked = {"learning_rate": 1e-5, "warmup": 400, "ema": 0.5, "validate_every": 3, "clip": 2.0}
    found = recipes.FINE_TUNING.settings_for(100, 4, {"steps": 500, **asked})
    assert {name: getattr(found, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("image", "crop"),
    [
        ((128, 256), (128, 256)),
        ((360, 480), (384, 480)),
        ((512, 1024), (512, 1024)),
        ((1024, 2048), (512, 1024)),
        ((2160, 3840), (544, 960)),
        ((4000, 3000), (832, 640)),
        ((20, 9000), (32, 9024)),
        ((1, 1), (32, 32)),
    ],
)
def test_crops_hold_the_image_or_as_many_pixels_as_the_paper_s(image: tuple[int, int], crop: tuple[int, int]) -> None:
    assert sizes.crop_for(image) == crop
    assert math.prod(crop) <= 1.1 * 512 * 1024


def test_the_size_of_a_dataset_is_that_of_most_of_its_images() -> None:
    assert sizes.typical_size(Boxes(5)) == (64, 64)
    assert sizes.typical_size(Boxes(1)) == (64, 64)
