"""The training loop, which also writes metrics, sample images and checkpoints."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from pem_edge.pem import checkpoints
from pem_edge.pem.model import PEM
from pem_edge.pem.training import snapshots
from pem_edge.pem.training.data.batches import Batch, make_loader
from pem_edge.pem.training.interruption import defer_interrupts
from pem_edge.pem.training.objective import points
from pem_edge.pem.training.objective.points import PointPlan
from pem_edge.pem.training.objective.qat import QuantizationAware
from pem_edge.pem.training.objective.supervision import Supervised
from pem_edge.pem.training.optimization import Average, make_optimizer, restore_optimizer, set_learning_rate
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.reporting import pictures
from pem_edge.pem.training.reporting.progress import Progress, say
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import InputError, TrainingError
from pem_edge.runtime.files import make_folder, remove
from pem_edge.runtime.plurals import plural

_PICTURES = "pictures"


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
        self.spdx = spdx
        self.supervised = Supervised(model.to(processes.device), settings.loss_weights)
        self.supervised.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a stub's omission
        self.quantized = QuantizationAware(self.supervised) if settings.qat else None
        self.average = Average(model, settings.ema)
        self.optimizer = make_optimizer(model, settings)
        self.progress = Progress(folder, settings.steps, settings.batch, settings.log_every)
        self.step = 0
        height, width = settings.size
        self.plan = PointPlan.for_mask(settings.points, (height // 4, width // 4))
        self._saved, self._saved_step = time.monotonic(), 0

    @property
    def model(self) -> PEM:
        """The model being trained; ``average.model`` has the averaged weights, which are the result."""
        return self.supervised.model

    def resume(self) -> None:
        """Continue the run in the folder from its checkpoint.

        Raises:
            CheckpointError: If the checkpoint is missing or damaged.
            TrainingError: If the run is of another variant, has other classes, or has done more steps already.
        """
        path = self.folder / snapshots.FILE_NAME
        snapshot = snapshots.load(path)
        snapshots.check_same("variant", snapshot["variant"], self.model.variant)
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
                for name, value in self._numeric_settings().items()
                if before.get(name) != value
            ]
            say(f"resuming after step {self.step}" + (f", with {', '.join(changed)}" if changed else ""))

    def _restore(self, snapshot: Snapshot) -> None:
        self.model.load_state_dict(snapshot["model"])
        self.average.model.load_state_dict(snapshot["average"])
        restore_optimizer(self.optimizer, snapshot["optimizer"])
        if self.quantized is not None and "reaches" in snapshot:
            self.quantized.reaches.copy_(snapshot["reaches"])
        for name in snapshots.NORMALIZATION:  # constants, which no state dict has
            for model in (self.model, self.average.model) if name in snapshot else ():
                getattr(model.normalize, name).copy_(snapshot[name].view(1, 3, 1, 1))
        self.spdx = snapshot.get("license", self.spdx)
        self.step = self._saved_step = snapshot["step"]
        if self.processes.is_main:
            self.progress.restore(self.step, snapshot["progress"])

    def delete_earlier_run(self) -> None:
        """Delete the files of an earlier run in the folder. Raises OutputError."""
        if self.processes.is_main:
            images = (self.folder / _PICTURES).glob("step-*.png")
            remove([self.folder / snapshots.FILE_NAME, self.progress.path, *images])

    def run(self) -> None:
        """Train up to the last step.

        Raises:
            KeyboardInterrupt: If the run was stopped by Ctrl-C, after a checkpoint is written.
            InputError: If an image cannot be read, after a checkpoint is written.
            TrainingError: If the losses are not finite.
            OutputError: If a file cannot be written.
        """
        module = self.processes.wrap(self.quantized or self.supervised).train()
        batches = make_loader(self.dataset, self.settings, self.processes, self.step)
        if self.processes.is_main:
            say(self._announcement())
        with defer_interrupts() as interruption:
            while (batch := self._next(batches)) is not None:
                self._train_step(module, batch.to(self.processes.device))
                stop = self._any_process(interruption.requested)
                self._write_outputs(stop)
                if stop:
                    raise KeyboardInterrupt(f"stopped after step {self.step}; {self._hint()}")

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Return the next batch, None at the end. Raises InputError, in all processes, if one cannot read an image."""
        batch, error = None, None
        try:
            batch = next(batches, None)
        except InputError as caught:
            error = caught
        if self._any_process(error is not None):
            if self.processes.is_main and self._saved_step < self.step:
                self._save_snapshot()
            self._any_process(False)  # none ends before the checkpoint is there, as torchrun then stops the others
            raise InputError(f"{error or 'another process cannot read an image'}; {self._hint()}") from error
        return batch

    def _announcement(self) -> str:
        height, width = self.settings.size
        work = f"{self.settings.batch} crops of {height}x{width}"
        left = self.settings.steps - self.step
        return (
            f"{self.model.variant} learns from {plural(len(self.dataset), 'image')}: {plural(left, 'step')} of {work} "
            f"on {self.processes.device.type}; if a step takes too long or too much memory, lower --batch or --size"
        )

    def save(self, *, half: bool = False) -> Path:
        """Write the averaged weights and what is known of them, and return the path of the file. Raises OutputError."""
        path = self.folder / f"{self.model.variant}.safetensors"
        labels, model = self.dataset.labels, self.average.model
        size = self.settings.size  # of the crops: a model finds less where things are of another size
        checkpoints.save(model, path, labels=labels, task="panoptic", size=size, spdx=self.spdx, half=half)
        return path

    def _train_step(self, module: nn.Module, batch: Batch) -> None:
        set_learning_rate(self.optimizer, self.step, self.settings)
        locations = points.draw_points(len(batch.images), self.plan.total, self._generator())
        count = self.processes.mean((batch.classes >= 0).sum().float()).clamp(min=1)
        with self.processes.autocast(self.settings.precision):
            losses: Tensor = module(batch.images, batch.segment_map, batch.classes, locations, self.plan, count)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        losses = self.processes.mean(losses.detach())
        if not (torch.isfinite(losses).all() and torch.isfinite(norm)):
            raise TrainingError(
                f"the losses of step {self.step + 1} are not finite: lower the learning rate; {self._hint()}"
            )
        self.optimizer.step()
        self.average.update(self.model, self.step)
        self.step += 1
        if self.processes.is_main:
            self.progress.add(self.step, losses, norm, self.optimizer.param_groups[-1]["lr"])

    def _write_outputs(self, stop: bool) -> None:
        """Write a sample image and a checkpoint if they are due after this step; ``stop`` makes a checkpoint due."""
        last = self.step == self.settings.steps
        if not self.processes.is_main:
            return
        if self.step % self.settings.picture_every == 0 or last:
            facts = f"step {self.step}", f"loss {self.progress.loss:.3f}"
            sample, classes = self.dataset[0], self.dataset.labels
            image = pictures.compare(self.average.model, sample, classes, self.settings.size, *facts)
            pictures.save(image, self.folder / _PICTURES / f"step-{self.step:06d}.png")
        if stop or last or time.monotonic() - self._saved > 60 * self.settings.checkpoint_minutes:
            self._save_snapshot()

    def _save_snapshot(self) -> None:
        snapshots.save(self._snapshot(), self.folder / snapshots.FILE_NAME)
        self._saved, self._saved_step = time.monotonic(), self.step

    def _snapshot(self) -> Snapshot:
        ranges = {} if self.quantized is None else {"reaches": self.quantized.reaches}
        return {
            "step": self.step,
            "variant": self.model.variant,
            "classes": _class_names(self.dataset.labels),
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": self.progress.state(),
            "license": self.spdx,
            **{name: getattr(self.model.normalize, name) for name in snapshots.NORMALIZATION},
            **ranges,
        }

    def _numeric_settings(self) -> Snapshot:
        """Return the settings that the trained weights depend on, by name."""
        others = {"workers", "log_every", "picture_every", "checkpoint_minutes"}
        return {name: value for name, value in asdict(self.settings).items() if name not in others}

    def _generator(self) -> torch.Generator:
        """Return a random generator for this step on this process; it does not depend on where the run was resumed."""
        seed = (self.settings.seed * 1_000_003 + self.step) * self.processes.world_size + self.processes.rank
        return torch.Generator(self.processes.device).manual_seed(seed)

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
        return f"the checkpoint is {path}: continue with the same --dataset and --resume -o {folder}"


def _class_names(labels: Sequence[Label]) -> list[str]:
    return [label.name for label in labels]
