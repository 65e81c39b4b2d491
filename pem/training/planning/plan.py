"""The plan of a run: its settings, chosen from a recipe, the images and the machine, and what they will cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pem_edge.pem.model import PEM
from pem_edge.pem.training.planning import cost, sizes
from pem_edge.pem.training.planning.cost import Cost
from pem_edge.pem.training.planning.recipes import MOST_EVALUATIONS, Recipe
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.artifacts.labels import Label, things
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.plurals import plural

_EVALUATED = 0.2
"""Fraction of the time of training that evaluations take at most, unless that allows none."""


@dataclass(frozen=True)
class Wish:
    """What was asked of a run.

    Attributes:
        recipe: The recipe for its purpose.
        given: The settings that were asked for, by name; the recipe gives all others.
        minutes: About how long it may take, which decides its steps; None if the recipe does.
        held: The number of images to validate on.
    """

    recipe: Recipe
    given: Mapping[str, object]
    minutes: float | None = None
    held: int = 0


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Attributes:
        settings: Its settings.
        seconds: How long it will take, with its evaluations.
        cost: What a step costs.
        free: The bytes of memory that it may take.
    """

    settings: TrainingSettings
    seconds: float
    cost: Cost
    free: int


def make_plan(model: PEM, dataset: Dataset, wish: Wish, processes: Processes) -> Plan:
    """Return the plan of a run, the same in all processes.

    Args:
        model: The model with its initial weights, which remain as they are.
        dataset: The labeled images, at least one.
        wish: What was asked for.
        processes: The processes of the run.

    Raises:
        InputError: If an image cannot be read.
        TrainingError: If a setting cannot be, or memory does not suffice for small crops.
    """
    recipe = wish.recipe
    given = {**_fitting_sizes(dataset, wish), **_fitting_augmentations(dataset, recipe), **wish.given}
    draft = replace(recipe.settings, **given)  # type: ignore[arg-type]  # the request has checked them
    if "batch" in given:
        processes.images_per_process(draft.batch)
    draft = replace(draft, precision=processes.of_main(processes.precision(draft.precision)))
    free = cost.free_memory(processes)  # before a trial, whose memory PyTorch keeps on a GPU
    measured = cost.measure(model, dataset, draft, processes)
    batch = draft.batch if "batch" in given else _batch(recipe, dataset, measured, free, processes)
    step_seconds = measured.seconds(processes.images_per_process(batch))
    evaluation_seconds = wish.held * measured.evaluation_seconds(draft)
    usual = draft.steps if "steps" in given else recipe.steps_for(len(dataset), batch)
    steps, evaluations = _schedule(usual, wish.minutes, step_seconds, evaluation_seconds)
    given = {**given, "steps": steps, "precision": draft.precision}
    settings = recipe.settings_for(len(dataset), batch, given, evaluations)
    seconds = steps * step_seconds + (steps // settings.validate_every) * evaluation_seconds
    return processes.of_main(Plan(settings, seconds, measured, free))


def describe(plan: Plan, model: PEM, dataset: Dataset, recipe: Recipe, processes: Processes) -> Iterator[str]:
    """Yield the lines that tell what a run is about to do."""
    settings = plan.settings
    height, width = settings.size
    per_process = settings.batch // processes.world_size
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    frozen = f", {settings.freeze} frozen" if settings.freeze else ""
    yield (
        f"{recipe.purpose}: {model.variant} ({millions:.1f} million parameters{frozen}) on "
        f"{_device(settings, processes)}; {plural(len(dataset), 'image')}, {_classes(dataset.labels, settings)}"
    )
    yield (
        f"{plural(settings.steps, 'step')} of {settings.batch} crops of {height}x{width}, "
        f"{settings.steps * settings.batch / len(dataset):.2g} times through the images, learning rate "
        f"{settings.learning_rate:.2g}, {', '.join(settings.augmentations) or 'no augmentations'}"
    )
    duration = timedelta(seconds=round(plan.seconds))
    needed = plan.cost.memory(per_process)
    scarce = f", of which {_gigabytes(plan.free)} are free: lower --batch or --size" if needed > plan.free else ""
    yield f"expected: about {duration} and {_gigabytes(needed)} of memory{scarce}; --minutes N makes it shorter"


def _fitting_sizes(dataset: Dataset, wish: Wish) -> dict[str, object]:
    """Return sizes of crops and of the input that fit the images, looked at only if what is given is not enough."""
    given, scaled = wish.given, wish.recipe.scaled_to_crops
    if "size" in given and (scaled or "input_size" in given):
        return {"input_size": given["size"]}
    image = sizes.typical_size(dataset)
    crop = given.get("size", sizes.crop_for(image))
    return {"size": crop, "input_size": crop if scaled else sizes.padded(image)}


def _fitting_augmentations(dataset: Dataset, recipe: Recipe) -> dict[str, object]:
    """Return the recipe's augmentations without those that need things, if there are none."""
    if things(dataset.labels):
        return {}
    return {"augmentations": tuple(each for each in recipe.settings.augmentations if each != "copy-paste")}


def _batch(recipe: Recipe, dataset: Dataset, measured: Cost, free: int, processes: Processes) -> int:
    """Return the recipe's batch, or what of it the images are enough for, a quarter of them, and memory allows."""
    useful = 1 << (max(1, len(dataset) // 4).bit_length() - 1)
    most = max(2, min(recipe.settings.batch, useful) // processes.world_size)
    return processes.world_size * measured.largest_batch(most, free)


def _schedule(steps: int, minutes: float | None, step_seconds: float, evaluation_seconds: float) -> tuple[int, int]:
    """Return the number of steps, as many as fit into ``minutes`` if those are given, and that of evaluations."""
    if minutes is not None:
        share = 1 - _EVALUATED if evaluation_seconds else 1.0
        steps = max(1, round(60 * minutes * share / step_seconds))
    affordable = int(_EVALUATED * steps * step_seconds / max(evaluation_seconds, 1e-9))
    return steps, min(MOST_EVALUATIONS, max(1, affordable))


def _device(settings: TrainingSettings, processes: Processes) -> str:
    several = f"{processes.world_size} processes, " if processes.world_size > 1 else ""
    return f"{several}{processes.device.type} in {settings.precision}"


def _classes(labels: Sequence[Label], settings: TrainingSettings) -> str:
    classes = plural(len(labels), "class", "classes")
    return f"{classes}, {len(things(labels))} of them things, for {settings.task} segmentation"


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"
