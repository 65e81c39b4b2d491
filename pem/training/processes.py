"""One process, or several started by torchrun, each with a share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from pem_edge.runtime.errors import TrainingError


@dataclass(frozen=True)
class Processes:
    """This process among all: ``rank`` of ``world``, ``per_machine`` of them here; it computes on ``device``."""

    rank: int
    world: int
    per_machine: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes files and progress."""
        return self.rank == 0

    def share(self, batch: int) -> int:
        """Return images of a batch that fall to one process. Raises TrainingError unless all get as many, 2 or more."""
        if batch % self.world or batch // self.world < 2:
            raise TrainingError(
                f"batch is {batch}, expected a multiple of {self.world} processes, 2 images or more each"
            )
        return batch // self.world

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return ``module`` on the device, with gradients and BatchNorm's statistics shared among processes."""
        module = module.to(self.device)
        if self.world == 1:
            return module
        if self.device.type != "cuda":
            return nn.parallel.DistributedDataParallel(module)
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return nn.parallel.DistributedDataParallel(module, device_ids=[self.device])

    def mean(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` averaged over the processes."""
        if self.world > 1:
            distributed.all_reduce(tensor)
            tensor /= self.world
        return tensor


@contextmanager
def joined(device: str | None = None) -> Iterator[Processes]:
    """Join the processes torchrun started, if it did; ``device`` is cpu or cuda, by default cuda where there is one.

    Raises TrainingError where the device is missing.
    """
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError(f"device {wanted} was asked for, but torch sees no GPU: leave out --device")
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    if world == 1:
        yield Processes(0, 1, 1, torch.device(wanted))
        return
    if wanted == "cuda":
        torch.cuda.set_device(local)
        wanted = f"cuda:{local}"
    distributed.init_process_group("nccl" if wanted.startswith("cuda") else "gloo")
    try:
        per_machine = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        yield Processes(distributed.get_rank(), world, per_machine, torch.device(wanted))
    finally:
        distributed.destroy_process_group()
