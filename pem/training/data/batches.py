"""Batches that depend on the seed and the step alone: not on workers, and not on where a run was resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import data

from pem_edge.pem.training.data.augmentations import NO_SEGMENT, View, random_view
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import Settings
from pem_edge.runtime.datasets.dataset import Dataset


@dataclass(frozen=True)
class Batch:
    """``images`` uint8 (N, H, W, 3), ``owners`` int64 (N, H, W), ``classes`` int64 (N, S), -1 for padding."""

    images: Tensor
    owners: Tensor
    classes: Tensor

    def pin_memory(self) -> Batch:
        """Return what the loader calls, so that copies to a GPU need not wait."""
        return Batch(*(tensor.pin_memory() for tensor in vars(self).values()))

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


def loader(dataset: Dataset, settings: Settings, processes: Processes, start: int) -> data.DataLoader[Batch]:
    """Return this process's share of the batches of steps ``start`` and up."""
    workers = settings.workers if settings.workers is not None else (os.cpu_count() or 1) // processes.per_machine
    return data.DataLoader(
        _Views(dataset, settings),  # type: ignore[arg-type]  # its items are views until they are collated
        batch_sampler=_Numbers(settings, processes, start),  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_quiet,
        pin_memory=processes.device.type == "cuda",
    )


def collate(views: Sequence[View]) -> Batch:
    """Return the views side by side.

    Every image gets as many places for segments as the richest one needs, at least one.
    """
    places = max(1, *(len(view.classes) for view in views))
    classes = np.full((len(views), places), NO_SEGMENT, np.int64)
    for row, view in zip(classes, views, strict=True):
        row[: len(view.classes)] = view.classes
    images = np.stack([view.image for view in views])
    owners = np.stack([view.owners for view in views]).astype(np.int64)
    return Batch(torch.from_numpy(images), torch.from_numpy(owners), torch.from_numpy(classes))


class _Views(data.Dataset[View]):
    """The ``number``-th view of a run, for any number: the dataset is gone through in a new order each time."""

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        self.dataset = dataset
        self.settings = settings

    def __getitem__(self, number: int) -> View:
        lap, place = divmod(number, len(self.dataset))
        index = int(_order(len(self.dataset), self.settings.seed, lap)[place])
        random = np.random.default_rng([self.settings.seed, 1, number])
        return random_view(self.dataset[index], self.settings.size, self.settings.scale, random)


@lru_cache(maxsize=2)
def _order(length: int, seed: int, lap: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, 0, lap]).permutation(length)


class _Numbers:
    """Which views belong to each step's batch in this process."""

    def __init__(self, settings: Settings, processes: Processes, start: int) -> None:
        self.settings, self.processes, self.start = settings, processes, start

    def __len__(self) -> int:
        return self.settings.steps - self.start

    def __iter__(self) -> Iterator[Sequence[int]]:
        batch = self.settings.batch
        for step in range(self.start, self.settings.steps):
            yield range(step * batch + self.processes.rank, (step + 1) * batch, self.processes.world)


def _quiet(_: int) -> None:
    """Leave signals to the trainer, without which a worker ends anyway, and other cores to other workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)
