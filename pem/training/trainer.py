"""The training loop, which also writes metrics, sample images and checkpoints."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TypeVar

import torch

from pem_edge.pem import checkpoints
from pem_edge.pem.model import PEM
from pem_edge.pem.training import snapshots
from pem_edge.pem.training.data.batches import Batch, make_loader
from pem_edge.pem.training.interruption import Interruption, Overdue, defer_interrupts
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.reporting import pictures
from pem_edge.pem.training.reporting.progress import Progress, say
from pem_edge.pem.training.reporting.tensorboard import Board
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.pem.training.stepping import Stepper
from pem_edge.pem.training.validating import Validation, delete_outputs
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import InputError, PemError, TrainingError
from pem_edge.runtime.files import make_folder, remove
from pem_edge.runtime.plurals import plural

T = TypeVar("T")

_PICTURES = "pictures"

_OF_THE_REPORT = {"workers", "log_every", "picture_every", "checkpoint_minutes", "checkpoint_every", "validate_every"}
"""Settings that the trained weights do not depend on."""


class Trainer:
    """A training run.

    Call `resume` or `delete_earlier_run`, then `run`, then `save`.

    Args:
        model: The model, with its initial weights; trained in place.
        dataset: The labeled images.
        settings: The settings of the run.
        folder: Folder for metrics, sample images, checkpoints and the final weights.
        processes: The processes of the run.
        spdx: The SPDX identifier of the license of the weights that the run starts from, which those that it makes
            keep; None if there is none.
        validation: What tells how good the model is, whose best weights are then the result; None for nothing. Only the
            main process needs one.
        board: Where metrics go, too.
        half: Whether to write weights in half precision.

    Raises:
        TrainingError: If the dataset is empty, its classes are not as many as the model's, or the batch cannot be
            divided among the processes.
        OutputError: If the folder cannot be created.
    """

    def __init__(
        self,
        model: PEM,
        dataset: Dataset,
        settings: TrainingSettings,
        folder: Path,
        processes: Processes,
        spdx: str | None = None,
        *,
        validation: Validation | None = None,
        board: Board | None = None,
        half: bool = False,
    ) -> None:
        if not len(dataset):
            raise TrainingError("the dataset has no images, at least one is needed")
        if len(dataset.labels) != model.num_classes:
            raise TrainingError(
                f"the dataset has {len(dataset.labels)} classes, the model {model.num_classes}: give a dataset "
                "with the model's classes, or start another run"
            )
        processes.images_per_process(settings.batch)
        make_folder(folder)
        self.dataset, self.settings, self.folder, self.processes = dataset, settings, folder, processes
        self.spdx, self.validation, self.half = spdx, validation, half
        self.stepper = Stepper(model, settings, processes)
        told = {} if board is None else {"tell": board.metrics}
        self.progress = Progress(folder, settings.steps, settings.batch, settings.log_every, **told)
        self._saved, self._saved_step = time.monotonic(), 0

    @property
    def step(self) -> int:
        """Number of steps that are done."""
        return self.stepper.step

    @property
    def weights(self) -> Path:
        """Path of the weights that are the result: the best, if there is a validation, else the last."""
        return self.folder / f"{self.stepper.model.variant}.safetensors"

    def resume(self, snapshot: Snapshot | None = None) -> None:
        """Continue the run in the folder from its checkpoint, which is read unless it is given.

        Raises:
            CheckpointError: If the checkpoint is missing or damaged.
            TrainingError: If the run is of another variant, has other classes, or has done more steps already.
        """
        path = self.folder / snapshots.FILE_NAME
        snapshot = snapshot or snapshots.load(path)
        snapshots.check_same("variant", snapshot["variant"], self.stepper.model.variant)
        snapshots.check_same("classes", snapshot["classes"], _class_names(self.dataset.labels))
        if snapshot["step"] > self.settings.steps:
            done, asked = plural(snapshot["step"], "step"), self.settings.steps
            raise TrainingError(f"the run to resume has done {done}, more than --steps {asked}: ask for more")
        with snapshots.restoring(path):
            self._restore(snapshot)
        if self.processes.is_main:
            before = snapshot["settings"]
            changed = [
                f"{name.replace('_', ' ')} {value}" + (f" instead of {before[name]}" if name in before else "")
                for name, value in asdict(self.settings).items()
                if name not in _OF_THE_REPORT and before.get(name) != value
            ]
            say(f"resuming after step {self.step}" + (f", with {', '.join(changed)}" if changed else ""))

    def _restore(self, snapshot: Snapshot) -> None:
        self.stepper.restore(snapshot)
        for name in snapshots.NORMALIZATION:  # constants, which no state dict has
            for model in (self.stepper.model, self.stepper.average.model) if name in snapshot else ():
                getattr(model.normalize, name).copy_(snapshot[name].view(1, 3, 1, 1))
        self.spdx = snapshot.get("license", self.spdx)
        self._saved_step = self.step
        if self.processes.is_main:
            self.progress.restore(self.step, snapshot["progress"])
        if self.validation is not None and snapshot.get("validation") is not None:
            self.validation.restore(snapshot["validation"])

    def delete_earlier_run(self) -> None:
        """Delete the files of an earlier run in the folder, but for its weights. Raises OutputError."""
        if self.processes.is_main:
            artifact = (self.weights.with_suffix(suffix) for suffix in (".onnx", ".json"))
            remove([self.folder / snapshots.FILE_NAME, self.progress.path, *artifact])
            delete_outputs(self.folder)

    def run(self) -> None:
        """Train up to the last step, or until the validation finds no more gain.

        Raises:
            KeyboardInterrupt: If the run was stopped by Ctrl-C, after a checkpoint is written.
            InputError: If an image cannot be read, after a checkpoint is written.
            TrainingError: If the losses are not finite.
            OutputError: If a file cannot be written.
        """
        module = self.stepper.wrap()
        batches = make_loader(self.dataset, self.settings, self.processes, self.step)
        alone = self.processes.world_size == 1  # several must end after the same step
        with defer_interrupts(within_steps=alone) as interruption:
            try:
                self._validate(interruption)  # which a run that is resumed may have been stopped in
                while not self._is_done() and (batch := self._next(batches, interruption)) is not None:
                    figures = self.stepper.train(module, batch.to(self.processes.device), interruption)
                    if self.processes.is_main:
                        self.progress.add(self.step, figures.losses, figures.gradient_norm, figures.learning_rate)
                    self._write_outputs(interruption)
                if self.step < self.settings.steps:
                    self._end_early()
            except Overdue:
                self._stop()
            except TrainingError as error:
                raise TrainingError(f"{error}; {self._hint()}") from error

    def save(self) -> Path:
        """Write the averaged weights, unless better ones are there; return the path. Raises OutputError."""
        if self.validation is None or self.validation.best.scores is None:
            self._save_weights()
        return self.weights

    def _is_done(self) -> bool:
        """Return whether the validation finds no more gain, in all processes."""
        if self.settings.patience is None:
            return False
        return self._any_process(self.validation is not None and self.validation.best.exhausted)

    def _end_early(self) -> None:
        if self.processes.is_main:
            self.progress.finish(self.step, self.stepper.optimizer.param_groups[-1]["lr"])
            say(f"done after step {self.step}: {plural(self.settings.patience or 0, 'evaluation')} without gain")
            self._save_snapshot()

    def _next(self, batches: Iterator[Batch], interruption: Interruption) -> Batch | None:
        """Return the next batch, None at the end."""
        with interruption.divisible():
            return self._together(lambda: next(batches, None))

    def _together(self, act: Callable[[], T]) -> T | None:
        """Return what ``act`` returns here; if it fails in a process, end all of them, after a checkpoint.

        Raises:
            KeyboardInterrupt: If ``act`` was overdue.
            PemError: What ``act`` raised; InputError if it was in another process.
        """
        result, error = None, None
        try:
            result = act()
        except (PemError, Overdue) as caught:
            error = caught
        if not self._any_process(error is not None):
            return result
        if isinstance(error, Overdue):
            self._stop()
        self._save_for_all()
        if error is None:
            raise InputError(f"another process failed, and says why; {self._hint()}")
        raise type(error)(f"{error}; {self._hint()}") from error

    def _write_outputs(self, interruption: Interruption) -> None:
        """Write what is due after this step. Raises KeyboardInterrupt if the run is to stop after it."""
        if self._any_process(interruption.requested):
            self._stop()
        last, every = self.step == self.settings.steps, self.settings.checkpoint_every
        if last or self.step % self.settings.picture_every == 0:
            self._together(self._draw)
        improved = self._validate(interruption)
        waited = time.monotonic() - self._saved > 60 * self.settings.checkpoint_minutes
        if last or improved or waited or (every is not None and self.step % every == 0):
            self._save_snapshot()

    def _draw(self) -> None:
        """Draw the first image, unless a validation draws those that it has."""
        if not self.processes.is_main or self.validation is not None:
            return
        facts = f"step {self.step}", f"loss {self.progress.loss:.3f}"
        sample, classes, size = self.dataset[0], self.dataset.labels, self.settings.fitted_size
        image = pictures.compare(self.stepper.average.model, sample, classes, size, *facts)
        pictures.save(image, self.folder / _PICTURES / f"step-{self.step:06d}.png")

    def _validate(self, interruption: Interruption) -> bool:
        """Find out how good the averaged weights are, if that is due; keep them and return True if they are the best.

        Raises:
            KeyboardInterrupt: If the run was asked to stop meanwhile.
        """
        if self.step == 0 or (self.step % self.settings.validate_every and self.step != self.settings.steps):
            return False
        improved = bool(self._together(lambda: self._evaluate(interruption)))
        if self._any_process(interruption.requested):
            self._stop()
        return improved

    def _evaluate(self, interruption: Interruption) -> bool:
        validation = self.validation
        if validation is None or (validation.latest is not None and validation.latest.step == self.step):
            return False
        validation.evaluate(self.stepper.average.model, self.step, lambda: interruption.requested)
        if validation.improved:
            self._save_weights()
        return validation.improved

    def _save_weights(self) -> None:
        labels, model, settings = self.dataset.labels, self.stepper.average.model, self.settings
        size = settings.fitted_size  # a model finds less where things are of another size
        checkpoints.save(
            model, self.weights, labels=labels, task=settings.task, size=size, spdx=self.spdx, half=self.half
        )

    def _save_snapshot(self) -> None:
        if self.processes.is_main:
            snapshots.save(self._snapshot(), self.folder / snapshots.FILE_NAME)
            self._saved, self._saved_step = time.monotonic(), self.step

    def _snapshot(self) -> Snapshot:
        return {
            "variant": self.stepper.model.variant,
            "classes": _class_names(self.dataset.labels),
            "settings": asdict(self.settings),
            **self.stepper.state(),
            "progress": self.progress.state(),
            "license": self.spdx,
            "validation": None if self.validation is None else self.validation.state(),
            **{name: getattr(self.stepper.model.normalize, name) for name in snapshots.NORMALIZATION},
        }

    def _save_for_all(self) -> None:
        """Write a checkpoint unless there is one of this step; no process ends before, as torchrun then stops all."""
        if self._saved_step < self.step:
            self._save_snapshot()
        self._any_process(False)

    def _stop(self) -> NoReturn:
        self._save_for_all()
        raise KeyboardInterrupt(f"stopped after step {self.step}; {self._hint()}")

    def _any_process(self, stop: bool) -> bool:
        """Return whether any process was asked to stop, so that all stop after the same step."""
        if self.processes.world_size == 1:
            return stop
        return bool(self.processes.mean(torch.tensor(float(stop), device=self.processes.device)) > 0)

    def _hint(self) -> str:
        path = self.folder / snapshots.FILE_NAME
        if not path.exists():
            return "there is no checkpoint yet"
        folder = shlex.quote(str(self.folder))
        same = "--dataset" if self.validation is None else "--dataset, the same --val"
        return f"the checkpoint is {path}: continue with the same {same} and --resume -o {folder}"


def _class_names(labels: Sequence[Label]) -> list[str]:
    return [label.name for label in labels]
