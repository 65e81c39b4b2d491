"""Sets up the training run that ``pem-train`` is asked for: images, initial weights, settings, validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pem_edge.pem.cli.train_request import TrainRequest
from pem_edge.pem.cli.train_start import Start, find_start, recipe_for
from pem_edge.pem.training import snapshots
from pem_edge.pem.training.planning.plan import Wish, describe, make_plan
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.reporting.tensorboard import Board
from pem_edge.pem.training.settings import TrainingSettings, written
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.pem.training.trainer import Trainer
from pem_edge.pem.training.validating import Validation, ValidationSettings
from pem_edge.pem.training.validation.fitting import require_val_fits, warnings_of_shared
from pem_edge.pem.training.validation.splitting import split_dataset
from pem_edge.runtime.artifacts.labels import things
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.datasets.tasks import for_task
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.progress import Say
from pem_edge.runtime.version import __version__

_SPLIT_SEED = 0
"""Seed of the images that are set aside, which are the same for each seed of the training."""


@dataclass(frozen=True)
class Images:
    """The labeled images of a run, as its task needs them.

    Attributes:
        train: Those to learn from.
        val: Those that tell how good the model is; None for none.
        task: The task.
    """

    train: Dataset
    val: Dataset | None
    task: Task


def set_up(request: TrainRequest, dataset: Dataset, folder: Path, processes: Processes, say: Say) -> Trainer:
    """Return the run, ready to `Trainer.run`.

    Args:
        request: What is asked for.
        dataset: The images, opened.
        folder: The folder of the run.
        processes: The processes of the run.
        say: Told what is found, and what the run is about to do.

    Raises:
        PemError: If anything that is asked for cannot be had.
    """
    path = folder / snapshots.FILE_NAME
    snapshot = snapshots.load(path) if request.resume else None
    images = _images(request, dataset, snapshot, say)
    earlier = None if snapshot is None else (snapshot, path)
    start = find_start(request, images.train.labels, earlier, say)
    if earlier is None:
        settings = _plan(request, start, images, processes, say)
    else:
        settings = _continued(*earlier, request, processes, say)
    board = Board(folder, snapshot["step"] if snapshot else 0) if request.tensorboard and processes.is_main else None
    validation = None
    if processes.is_main:
        validation = _validation(request, images, settings, start.model.variant, folder, board)
    trainer = Trainer(
        start.model,
        images.train,
        settings,
        folder,
        processes,
        start.spdx,
        validation=validation,
        board=board,
        half=request.half,
    )
    if snapshot is None:
        trainer.delete_earlier_run()
    else:
        trainer.resume(snapshot)
    return trainer


def _images(request: TrainRequest, dataset: Dataset, snapshot: Snapshot | None, say: Say) -> Images:
    """Return the images to learn from, and those to validate on. Raises InputError, TrainingError."""
    if not len(dataset):
        raise TrainingError("the dataset has no images, at least one is needed")
    task = _task(request, dataset, snapshot, say)
    for note in notes_of(dataset):
        say(note)
    if request.val is None:
        if snapshot is not None and snapshot.get("validation") is not None:
            raise TrainingError("the run to resume is validated: give the same --val or --val-split, too")
        return Images(for_task(dataset, task), None, task)
    train, val = _parts(dataset, request.val, task, say)
    for warning in warnings_of_shared(train, val):
        say(warning)
    return Images(for_task(train, task), for_task(val, task), task)


def _parts(dataset: Dataset, place: DatasetLocation | float, task: Task, say: Say) -> tuple[Dataset, Dataset]:
    """Return the images to learn from, and those that are set aside or named to validate on.

    Raises:
        InputError: If those to validate on cannot be opened.
        TrainingError: If there are none, or their classes are others.
    """
    if isinstance(place, float):
        train, held = split_dataset(dataset, place, _SPLIT_SEED)
        say(f"{plural(len(held), 'image')} of {len(dataset)} are set aside to validate on")
        return train, held
    val, known = place.open(), notes_of(dataset)
    for note in (note for note in notes_of(val) if note not in known):
        say(f"validation: {note}")
    return dataset, require_val_fits(dataset, val, kinds=task != "semantic")


def _task(request: TrainRequest, dataset: Dataset, snapshot: Snapshot | None, say: Say) -> Task:
    """Return the task that is asked for, or that of the run to resume, or the one that the classes allow."""
    known = {**(snapshot or {}).get("settings", {}), **request.given}.get("task")
    if known in ("panoptic", "semantic", "instance"):
        task: Task = known
        return task
    if things(dataset.labels):
        return "panoptic"
    say("the classes have no things, so semantic segmentation is learned")
    return "semantic"


def _plan(request: TrainRequest, start: Start, images: Images, processes: Processes, say: Say) -> TrainingSettings:
    """Return the settings of a new run, and say what it is about to do."""
    held = 0 if images.val is None else len(images.val)
    wish = Wish(recipe_for(request), {**request.given, "task": images.task}, request.minutes, held)
    plan = make_plan(start.model, images.train, wish, processes)
    for line in describe(plan, start.model, images.train, wish.recipe, processes):
        say(line)
    if images.val is None:
        say("no images to validate on, so how good the weights get is not measured: add --val DIR, or --val 10%")
    return plan.settings


def _continued(
    snapshot: Snapshot, path: Path, request: TrainRequest, processes: Processes, say: Say
) -> TrainingSettings:
    """Return the settings with which an earlier run goes on, and say if they do not suit this machine."""
    settings = snapshots.continued(snapshot, path, request.given, say)
    if settings.precision == "bf16" and processes.precision("auto") == "fp32":
        say("the run computes in bf16, which is slower here than fp32, as a short trial finds: add --precision fp32")
    return settings


def _validation(
    request: TrainRequest, images: Images, settings: TrainingSettings, variant: str, folder: Path, board: Board | None
) -> Validation | None:
    """Return what tells how good the model is; None without images for it."""
    if images.val is None:
        return None
    classes = [f"{label.name}{' (thing)' if label.isthing else ''}" for label in images.train.labels]
    data = {
        "dataset": request.dataset.text or request.dataset.annotations,
        "images to learn from": len(images.train),
        "images to validate on": f"{len(images.val)}, {_place(request)}",
        "classes": ", ".join(classes),
        "initial weights": request.weights or request.backbone or "random",
        "version": __version__,
    }
    shown = ValidationSettings(
        size=settings.fitted_size,
        task=settings.task,
        patience=settings.patience,
        title=f"Training of {variant}",
        settings=_readable(settings),
        data=data,
    )
    return Validation(images.val, shown, folder, board)


def _place(request: TrainRequest) -> str:
    """Return where the images to validate on come from."""
    if isinstance(request.val, float):
        return f"{request.val:.3g} of the dataset"
    return "" if request.val is None else f"of {request.val.text or request.val.annotations}"


def _readable(settings: TrainingSettings) -> dict[str, str]:
    """Return the settings as a user would write them, by name, without those that are not set."""
    losses = {f"loss weight {name}": value for name, value in asdict(settings.loss_weights).items()}
    named = {name.replace("_", " "): value for name, value in vars(settings).items() if name != "loss_weights"}
    return {name: _text(name, value) for name, value in {**named, **losses}.items() if value is not None}


def _text(name: str, value: object) -> str:
    shown = written(name, value)
    return f"{shown:.4g}" if isinstance(shown, float) else str(shown)
