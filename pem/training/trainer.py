"""The loop: batch, losses, step; and now and then a line, a picture, a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from pem_edge.pem import checkpoints
from pem_edge.pem.model import PEM
from pem_edge.pem.training import pictures, snapshots
from pem_edge.pem.training.data.batches import Batch, loader
from pem_edge.pem.training.interruption import deferred
from pem_edge.pem.training.objective import points
from pem_edge.pem.training.objective.points import PointPlan
from pem_edge.pem.training.objective.qat import QuantizationAware
from pem_edge.pem.training.objective.supervision import Supervised
from pem_edge.pem.training.optimization import Average, optimizer, set_learning_rate
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.progress import Progress, say
from pem_edge.pem.training.settings import Settings
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.files import make_folder, remove

_PICTURES = "pictures"


class Trainer:
    """One run of ``model`` on ``dataset``, written to ``folder``. Raises TrainingError, OutputError."""

    def __init__(self, model: PEM, dataset: Dataset, settings: Settings, folder: Path, processes: Processes) -> None:
        if not len(dataset):
            raise TrainingError("the dataset has no images, at least one is needed")
        if len(dataset.labels) != model.num_classes:
            raise TrainingError(f"the dataset has {len(dataset.labels)} classes, the model {model.num_classes}")
        processes.share(settings.batch)
        make_folder(folder)
        self.dataset, self.settings, self.folder, self.processes = dataset, settings, folder, processes
        self.supervised = Supervised(model.to(processes.device), settings.loss_weights)
        self.supervised.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a stub's omission
        self.quantized = QuantizationAware(self.supervised) if settings.qat else None
        self.average = Average(model, settings.ema)
        self.optimizer = optimizer(model, settings)
        self.progress = Progress(folder, settings.steps, settings.batch, settings.log_every)
        self.step = 0
        height, width = settings.size
        self.plan = PointPlan.of(settings.points, (height // 4, width // 4))
        self._saved = time.monotonic()

    @property
    def model(self) -> PEM:
        """The weights being trained; ``average.model`` has those to keep."""
        return self.supervised.model

    def resume(self) -> None:
        """Go on where the run in the folder stopped. Raises CheckpointError, and TrainingError if it is another's."""
        snapshot = snapshots.load(self.folder / snapshots.NAME)
        _check_same("variant", snapshot["variant"], self.model.variant)
        _check_same("classes", snapshot["classes"], _names(self.dataset.labels))
        self.model.load_state_dict(snapshot["model"])
        self.average.model.load_state_dict(snapshot["average"])
        peaks = [group["peak"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(snapshot["optimizer"])
        for group, peak in zip(self.optimizer.param_groups, peaks, strict=True):
            group["peak"] = peak
        if self.quantized is not None and "reaches" in snapshot:
            self.quantized.reaches.copy_(snapshot["reaches"])
        self.step = snapshot["step"]
        if self.processes.leads:
            self.progress.restore(self.step, snapshot["progress"])
            changed = [name for name, value in self._choices().items() if snapshot["settings"].get(name) != value]
            say(f"resuming after step {self.step}" + (f", with other {', '.join(changed)}" if changed else ""))

    def begin(self) -> None:
        """Start anew: forget the files of a run that was here before. Raises OutputError."""
        if self.processes.leads:
            remove([self.folder / snapshots.NAME, self.progress.path, *(self.folder / _PICTURES).glob("step-*.png")])

    def run(self) -> None:
        """Train to the last step. Ctrl-C ends it after a checkpoint, with KeyboardInterrupt. Raises TrainingError."""
        module = self.processes.wrap(self.quantized or self.supervised).train()
        batches = loader(self.dataset, self.settings, self.processes, self.step)
        with deferred() as interruption:
            for batch in batches:
                self._advance(module, batch.to(self.processes.device))
                stop = self._agreed(interruption.requested)
                self._keep(stop)
                if stop:
                    raise KeyboardInterrupt(f"stopped after step {self.step}; {self._hint()}")

    def save(self, *, half: bool = False) -> Path:
        """Write the averaged weights with their classes; returns the file. Raises OutputError."""
        path = self.folder / f"{self.model.variant}.safetensors"
        checkpoints.save(self.average.model, path, labels=self.dataset.labels, half=half)
        return path

    def _advance(self, module: nn.Module, batch: Batch) -> None:
        set_learning_rate(self.optimizer, self.step, self.settings)
        where = points.draw(len(batch.images), self.plan.total, self._generator())
        segments = self.processes.mean((batch.classes >= 0).sum().float()).clamp(min=1)
        with self._precision():
            losses: Tensor = module(batch.images, batch.owners, batch.classes, where, self.plan, segments)
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
        if self.processes.leads:
            self.progress.add(self.step, losses, norm, self.optimizer.param_groups[-1]["lr"])

    def _keep(self, stop: bool) -> None:
        """Write what is due after this step: a picture, a checkpoint."""
        last = self.step == self.settings.steps
        if not self.processes.leads:
            return
        if self.step % self.settings.picture_every == 0 or last:
            picture = pictures.compare(self.average.model, self.dataset[0], self.dataset.labels, self.settings.size)
            pictures.save(picture, self.folder / _PICTURES / f"step-{self.step:06d}.png")
        if stop or last or time.monotonic() - self._saved > 60 * self.settings.checkpoint_minutes:
            snapshots.save(self._snapshot(), self.folder / snapshots.NAME)
            self._saved = time.monotonic()

    def _snapshot(self) -> Snapshot:
        ranges = {} if self.quantized is None else {"reaches": self.quantized.reaches}
        return {
            "step": self.step,
            "variant": self.model.variant,
            "classes": _names(self.dataset.labels),
            "settings": self._choices(),
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": self.progress.state(),
            **ranges,
        }

    def _choices(self) -> Snapshot:
        """Return the settings that decide the numbers, as plain values."""
        others = {"workers", "log_every", "picture_every", "checkpoint_minutes"}
        return {name: value for name, value in asdict(self.settings).items() if name not in others}

    def _generator(self) -> torch.Generator:
        """Return this step's random numbers, on this process, wherever the run began."""
        sequence = (self.settings.seed * 1_000_003 + self.step) * self.processes.world + self.processes.rank
        return torch.Generator(self.processes.device).manual_seed(sequence)

    def _precision(self) -> AbstractContextManager[object]:
        kind = self.processes.device.type
        low = self.settings.precision == "bf16" or (self.settings.precision == "auto" and kind == "cuda")
        return torch.autocast(kind, torch.bfloat16, enabled=low)

    def _agreed(self, stop: bool) -> bool:
        """Return whether any process was asked to stop: all stop after the same step."""
        if self.processes.world == 1:
            return stop
        return bool(self.processes.mean(torch.tensor(float(stop), device=self.processes.device)) > 0)

    def _hint(self) -> str:
        path = self.folder / snapshots.NAME
        return f"the checkpoint is {path}, go on with --resume" if path.exists() else "there is no checkpoint yet"


def _names(labels: Sequence[Label]) -> list[str]:
    return [label.name for label in labels]


def _check_same(what: str, before: object, now: str | list[str]) -> None:
    if before != now:
        raise TrainingError(f"the run to resume has other {what} ({_short(before)}) than this one ({_short(now)})")


def _short(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    return f"{len(value)}: {', '.join(value[:3])}{', …' if len(value) > 3 else ''}"
