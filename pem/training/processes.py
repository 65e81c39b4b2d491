"""Training in one process, or in several that torchrun started, among which each batch is divided."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
from torch import Tensor, distributed, nn

from pem_edge.pem.training.precision import bf16_pays
from pem_edge.runtime.errors import TrainingError

T = TypeVar("T")

_LONGEST_WAIT = timedelta(hours=1)
"""Time that processes wait for the main one, which alone validates the model."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: Rank of this process, from 0.
        world_size: Number of processes.
        per_machine: Number of processes on this machine.
        device: Device that this process computes on.
    """

    rank: int
    world_size: int
    per_machine: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints progress."""
        return self.rank == 0

    def images_per_process(self, batch: int) -> int:
        """Return how many of the ``batch`` images of a step each process gets.

        Raises:
            TrainingError: If the batch cannot be divided evenly with at least 2 images per process.
        """
        if batch % self.world_size or batch // self.world_size < 2:
            raise TrainingError(
                f"batch is {batch}, expected a multiple of the number of processes, {self.world_size}, with at least 2 "
                "images per process"
            )
        return batch // self.world_size

    def wrap(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device and, with several processes, wrap it so that gradients are averaged.

        On CUDA, BatchNorm's statistics are synchronized, too.
        """
        module = module.to(self.device)
        if self.world_size == 1:
            return module
        if self.device.type != "cuda":
            return nn.parallel.DistributedDataParallel(module)
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return nn.parallel.DistributedDataParallel(module, device_ids=[self.device])

    def precision(self, asked: Literal["auto", "fp32", "bf16"]) -> Literal["fp32", "bf16"]:
        """Return the precision to compute in; "auto" is "bf16" where that is faster."""
        if asked == "auto":
            return "bf16" if bf16_pays(self.device) else "fp32"
        return asked

    def autocast(self, precision: Literal["auto", "fp32", "bf16"]) -> AbstractContextManager[object]:
        """Return the context that computes in ``precision``, chosen as by `precision`."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision(precision) == "bf16")

    def of_main(self, value: T) -> T:
        """Return the main process's ``value``, which can be pickled, in all processes."""
        shared = [value]
        if self.world_size > 1:
            distributed.broadcast_object_list(shared, device=self.device)
        return shared[0]

    def mean(self, tensor: Tensor) -> Tensor:
        """Average ``tensor`` over the processes, in place, and return it."""
        if self.world_size > 1:
            distributed.all_reduce(tensor)
            tensor /= self.world_size
        return tensor


@contextmanager
def join_processes(device: str | None = None) -> Iterator[Processes]:
    """Join the process group if torchrun started one; otherwise run alone.

    Args:
        device: "cpu", "cuda" or "cuda:N", the GPU of number N; defaults to "cuda" if available.

    Raises:
        TrainingError: If the device is another one, or not available.
    """
    wanted = _choose_device(device)
    world_size, local_rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    if world_size == 1:
        yield Processes(0, 1, 1, torch.device(wanted))
        return
    if wanted == "cuda":
        torch.cuda.set_device(local_rank)
        wanted = f"cuda:{local_rank}"
    distributed.init_process_group("nccl" if wanted.startswith("cuda") else "gloo", timeout=_LONGEST_WAIT)
    try:
        per_machine = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
        yield Processes(distributed.get_rank(), world_size, per_machine, torch.device(wanted))
    finally:
        distributed.destroy_process_group()


def _choose_device(asked: str | None) -> str:
    """Return the device asked for, or else "cuda" if available. Raises TrainingError if there is no such device."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    chosen = asked or ("cuda" if gpus else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(0|[1-9]\d{0,2}))?", chosen)
    if match is None:
        raise TrainingError(f"--device is {chosen}, expected cpu, cuda, or one GPU of several, such as cuda:1")
    if chosen != "cpu" and int(match[1] or 0) >= gpus:
        found = {0: "no GPU", 1: "one GPU, cuda:0"}.get(gpus, f"the GPUs cuda:0 to cuda:{gpus - 1}")
        raise TrainingError(f"--device is {chosen}, but PyTorch finds {found}: leave out --device")
    return chosen
