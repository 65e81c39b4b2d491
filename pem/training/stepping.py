"""One step of training: losses, gradients, the optimizer's update and the moving average."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pem_edge.pem.model import PEM
from pem_edge.pem.training.data.batches import Batch
from pem_edge.pem.training.interruption import Interruption
from pem_edge.pem.training.objective import points
from pem_edge.pem.training.objective.points import PointPlan
from pem_edge.pem.training.objective.qat import QuantizationAware
from pem_edge.pem.training.objective.supervision import Supervised
from pem_edge.pem.training.optimization import Average, freeze, make_optimizer, restore_optimizer, set_learning_rate
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.runtime.errors import TrainingError

_NO_MEMORY = re.compile(r"allocate memory|not enough memory|out of memory|bad_alloc", re.IGNORECASE)
"""Matches what PyTorch says where memory runs out, on a CPU or in a library; it has an exception only for GPUs."""


@dataclass(frozen=True)
class Figures:
    """The figures of a step.

    Attributes:
        losses: The weighted losses, averaged over processes, (3).
        gradient_norm: The norm of the gradient before clipping, a scalar.
        learning_rate: The learning rate of all but the backbone.
    """

    losses: Tensor
    gradient_norm: Tensor
    learning_rate: float


class Stepper:
    """Everything that changes in a step.

    Args:
        model: The model, trained in place.
        settings: The settings of the run.
        processes: The processes of the run.

    Attributes:
        supervised: The model with its losses.
        average: The moving average of its weights.
        optimizer: The optimizer.
        plan: The numbers of points at which masks are supervised.
        step: The number of steps that are done.
    """

    def __init__(self, model: PEM, settings: TrainingSettings, processes: Processes) -> None:
        self.settings, self.processes = settings, processes
        self.supervised = Supervised(model.to(processes.device), settings.loss_weights)
        self.supervised.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a stub's omission
        if settings.freeze is not None:
            freeze(model, settings.freeze)
        self.quantized = QuantizationAware(self.supervised) if settings.qat else None
        self.average = Average(model, settings.ema)
        self.optimizer = make_optimizer(model, settings)
        self.step = 0
        height, width = settings.size
        self.plan = PointPlan.for_mask(settings.points, (height // 4, width // 4))
        for parameter in model.parameters():  # Python handles signals between these, which a long pass else has none of
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(_return_to_python)  # type: ignore[no-untyped-call]

    @property
    def model(self) -> PEM:
        """The model being trained."""
        return self.supervised.model

    @property
    def module(self) -> nn.Module:
        """The module whose losses are minimized."""
        return self.quantized or self.supervised

    def wrap(self) -> nn.Module:
        """Return the module whose losses are minimized, in training mode, its gradients averaged over processes."""
        return self.processes.wrap(self.module).train()

    def train(self, module: nn.Module, batch: Batch, interruption: Interruption) -> Figures:
        """Train on a batch. If it raises an exception, the state remains that of before.

        Args:
            module: What `wrap` returned.
            batch: This process's part of the batch.
            interruption: What may end the step.

        Raises:
            TrainingError: If the losses are not finite, or memory runs out.
            KeyboardInterrupt: If the process was asked to stop, and the step takes too long.
        """
        set_learning_rate(self.optimizer, self.step, self.settings)
        with self._undone_if_it_fails(), self.memory_named():
            with interruption.divisible():
                losses = self.losses(module, batch)
                self.optimizer.zero_grad(set_to_none=True)
                losses.sum().backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
            losses = self.processes.mean(losses.detach())
            if not (torch.isfinite(losses).all() and torch.isfinite(norm)):
                raise TrainingError(f"the losses of step {self.step + 1} are not finite: lower the learning rate")
            self.optimizer.step()
        self.average.update(self.model, self.step)
        self.step += 1
        return Figures(losses, norm, self.optimizer.param_groups[-1]["lr"])

    def losses(self, module: nn.Module, batch: Batch) -> Tensor:
        """Return the losses (3) of a batch; ``module`` is what `wrap` returned."""
        locations = points.draw_points(len(batch.images), self.plan.total, self._generator())
        count = self.processes.mean((batch.classes >= 0).sum().float()).clamp(min=1)
        with self.processes.autocast(self.settings.precision):
            losses: Tensor = module(batch.images, batch.segment_map, batch.classes, locations, self.plan, count)
        return losses

    def state(self) -> Snapshot:
        """Return the state, for `restore`."""
        ranges = {} if self.quantized is None else {"reaches": self.quantized.reaches}
        model, average = self.model.state_dict(), self.average.model.state_dict()
        optimizer = self.optimizer.state_dict()
        return {"step": self.step, "model": model, "average": average, "optimizer": optimizer, **ranges}

    def restore(self, snapshot: Snapshot) -> None:
        """Load what `state` returned. Raises KeyError, RuntimeError, ValueError if it is of another model."""
        self.model.load_state_dict(snapshot["model"])
        self.average.model.load_state_dict(snapshot["average"])
        restore_optimizer(self.optimizer, snapshot["optimizer"])
        if self.quantized is not None and "reaches" in snapshot:
            self.quantized.reaches.copy_(snapshot["reaches"])
        self.step = snapshot["step"]

    def _generator(self) -> torch.Generator:
        """Return a random generator for this step on this process; it does not depend on where the run was resumed."""
        seed = (self.settings.seed * 1_000_003 + self.step) * self.processes.world_size + self.processes.rank
        return torch.Generator(self.processes.device).manual_seed(seed)

    @contextmanager
    def _undone_if_it_fails(self) -> Iterator[None]:
        """Give the buffers the values back that they had, if the ``with`` block fails: BatchNorm changes them."""
        buffers = list(self.module.buffers())
        before = [buffer.clone() for buffer in buffers]
        try:
            yield
        except BaseException:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            raise

    @contextmanager
    def memory_named(self) -> Iterator[None]:
        """Raise TrainingError where memory runs out in the ``with`` block."""
        try:
            yield
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
                raise
            height, width = self.settings.size
            smaller = self.settings.batch // 2 // self.processes.world_size * self.processes.world_size
            cure = (
                f"--batch {smaller}" if smaller >= 2 * self.processes.world_size else f"a --size below {height}x{width}"
            )
            raise TrainingError(
                f"there is not enough memory on {self.processes.device} for a step of {self.settings.batch} crops of "
                f"{height}x{width}: give {cure}"
            ) from error


def _return_to_python(_parameter: Tensor) -> None:
    """Do nothing."""
