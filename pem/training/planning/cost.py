"""The cost of a step on this machine: seconds and memory, from a trial of a small one."""

from __future__ import annotations

import math
import time
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from pem_edge.pem.model import PEM
from pem_edge.pem.training.data.batches import Batch, collate
from pem_edge.pem.training.data.numbered_views import NumberedViews
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.stepping import Stepper
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.machine import cpu, quotas, usable_cpus

_TRIED_PIXELS = 128 * 256
"""Pixels of the crops of a trial; a large one would take as long as a step."""

_TRIED_IMAGES = 2

_WORKING_SHARE = 0.6
"""What a step takes besides the tensors that are kept for its backward pass, as a fraction of these: gradients of
activations, and what convolutions work in. Measured."""

_MERGING = 0.5e-6
"""Seconds that it takes to merge a pixel of a result and to compare it with the truth. Measured."""

_USABLE = 0.8
"""Fraction of the free memory that a run may take; the rest is for batches that wait, and for others."""

_LIBRARIES = 450 << 20
"""Bytes that Python and PyTorch take by themselves on a CPU. Measured."""


@dataclass(frozen=True)
class Cost:
    """The cost of a step.

    Attributes:
        seconds_per_image: Time of the forward and backward pass of one crop, and of making it as far as that is not
            hidden behind the GPU.
        fixed_bytes: Memory that does not depend on the batch: weights, gradients, moments, averages.
        bytes_per_image: Memory that one crop takes until its backward pass.
    """

    seconds_per_image: float
    fixed_bytes: int
    bytes_per_image: int

    def seconds(self, batch: int) -> float:
        """Return the time of a step of ``batch`` images on one process."""
        return batch * self.seconds_per_image

    def evaluation_seconds(self, settings: TrainingSettings) -> float:
        """Return the time of evaluating the model on an image; it takes a third of a step's passes, and the merge."""
        pixels = math.prod(settings.fitted_size)
        return pixels * (self.seconds_per_image / 3 / math.prod(settings.size) + _MERGING)

    def memory(self, batch: int) -> int:
        """Return the bytes of memory of a step of ``batch`` images on one process."""
        return self.fixed_bytes + batch * self.bytes_per_image

    def largest_batch(self, most: int, free: int) -> int:
        """Return ``most``, halved until a step fits into ``free`` bytes; 2, of which BatchNorm cannot have less."""
        batch = max(2, most)
        while batch > 2 and self.memory(batch) > free:
            batch = max(2, batch // 2)
        return batch


def free_memory(processes: Processes) -> int:
    """Return the bytes of memory that one process may take on its device."""
    if processes.device.type == "cuda":
        return int(_USABLE * torch.cuda.mem_get_info(processes.device)[0])
    known = (cpu.meminfo("MemAvailable"), quotas.memory_limit())
    return int(_USABLE * min((each for each in known if each), default=4 << 30) / processes.per_machine)


def measure(model: PEM, dataset: Dataset, settings: TrainingSettings, processes: Processes) -> Cost:
    """Compute the gradients of small crops on a copy of ``model``, twice, and return what a step of ``settings`` costs.

    Raises:
        InputError: If an image cannot be read.
        TrainingError: If there is not even enough memory for the small crops.
    """
    start = time.perf_counter()
    views = NumberedViews(dataset, settings)
    batch = _shrink(collate([views[number] for number in range(_TRIED_IMAGES)]), settings.size).to(processes.device)
    loading = (time.perf_counter() - start) / _TRIED_IMAGES
    height, width = batch.images.shape[1:3]
    stepper = Stepper(deepcopy(model), replace(settings, size=(height, width), batch=_TRIED_IMAGES), processes)
    with torch.random.fork_rng([processes.device] if processes.device.type == "cuda" else []):
        _try(stepper, batch)
        computing, kept = _try(stepper, batch)
    enlarged = math.prod(settings.size) / (height * width) / _TRIED_IMAGES
    on_gpu = processes.device.type == "cuda"
    hidden = max(0.0, loading / usable_cpus() - computing * enlarged) if on_gpu else loading / usable_cpus()
    needed = int(kept * enlarged * (1 + _WORKING_SHARE))
    return Cost(computing * enlarged + hidden, _fixed_bytes(stepper.model, on_gpu=on_gpu), needed)


def _try(stepper: Stepper, batch: Batch) -> tuple[float, int]:
    """Compute the gradients of ``batch``; return the seconds that it took, and the bytes kept for the backward pass."""
    kept, device = _Kept(stepper.model), stepper.processes.device
    start = _now(device)
    with stepper.memory_named():
        with saved_tensors_hooks(kept.keep, _return):
            losses = stepper.losses(stepper.module.train(), batch)
        losses.sum().backward()  # type: ignore[no-untyped-call]
    stepper.module.zero_grad(set_to_none=True)
    return _now(device) - start, kept.bytes


def _fixed_bytes(model: PEM, *, on_gpu: bool) -> int:
    """Return the bytes of weights and their average, and of gradients and two moments of those that are trained."""
    parameters = list(model.parameters())
    trained = sum(parameter.nbytes for parameter in parameters if parameter.requires_grad)
    return (0 if on_gpu else _LIBRARIES) + 2 * sum(parameter.nbytes for parameter in parameters) + 3 * trained


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class _Kept:
    """Counts the bytes that are kept for a backward pass; those of parameters are there anyway.

    Attributes:
        bytes: Their number.
    """

    def __init__(self, model: PEM) -> None:
        self._seen = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self.bytes = 0

    def keep(self, tensor: Tensor) -> Tensor:
        """Count the memory of ``tensor``, which others may share, once, and return it."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
        return tensor


def _return(tensor: Tensor) -> Tensor:
    return tensor


def _shrink(batch: Batch, size: tuple[int, int]) -> Batch:
    """Return the part at the top left of the crops, of which about `_TRIED_PIXELS` remain."""
    factor = min(1.0, math.sqrt(_TRIED_PIXELS / math.prod(size)))
    height, width = (math.ceil(side * factor / MULTIPLE_OF) * MULTIPLE_OF for side in size)
    return Batch(batch.images[:, :height, :width], batch.segment_map[:, :height, :width], batch.classes)
