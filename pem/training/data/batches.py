"""Training batches. They depend on the seed and the step alone, not on workers or on where a run was resumed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from pem_edge.pem.training.data import workers
from pem_edge.pem.training.data.numbered_views import NumberedViews
from pem_edge.pem.training.data.views import NO_SEGMENT, View
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import PemError


@dataclass(frozen=True)
class Batch:
    """The views of a step, as tensors.

    Attributes:
        images: RGB uint8 (N, H, W, 3).
        segment_map: Number of the segment that each pixel belongs to, or `NO_SEGMENT`, int64 (N, H, W).
        classes: Class of each segment, int64 (N, S), padded with `NO_SEGMENT`.
    """

    images: Tensor
    segment_map: Tensor
    classes: Tensor

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory, from which copies to a GPU are asynchronous."""
        return Batch(*(tensor.pin_memory() for tensor in vars(self).values()))

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


def make_loader(dataset: Dataset, settings: TrainingSettings, processes: Processes, start: int) -> Iterator[Batch]:
    """Yield this process's part of the batches, from step ``start`` to the last one.

    Raises:
        PemError: If a sample cannot be read.
    """
    for views in _load(_ViewDataset(NumberedViews(dataset, settings)), settings, processes, start):
        batch = collate(_require_views(views))
        yield batch.pin_memory() if processes.device.type == "cuda" else batch


def _load(
    dataset: _ViewDataset, settings: TrainingSettings, processes: Processes, start: int
) -> Iterator[list[View | PemError]]:
    """Start the workers, and return an iterator over the views of each batch, in lists."""
    count = workers.choose_count(processes) if settings.workers is None else settings.workers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # how many workers are too many is for the user to judge
        loader: data.DataLoader[list[View | PemError]] = data.DataLoader(
            dataset,  # type: ignore[arg-type]  # its items are views until they are collated
            batch_sampler=_BatchSampler(settings, processes, start),  # type: ignore[arg-type]
            num_workers=count,
            multiprocessing_context=workers.START if count else None,
            # Workers send arrays. For tensors they need shared memory and sockets below TMPDIR; a batch for which there
            # is too little of one, or too long a path to the other, would be lost, and be waited for without end.
            collate_fn=list,
            worker_init_fn=workers.initialize,
        )
        return iter(loader)


def collate(views: Sequence[View]) -> Batch:
    """Return the views as a batch; ``classes`` are padded to the maximum number of segments per view, at least one."""
    most_segments = max(1, *(len(view.classes) for view in views))
    classes = np.full((len(views), most_segments), NO_SEGMENT, np.int64)
    for row, view in zip(classes, views, strict=True):
        row[: len(view.classes)] = view.classes
    images = np.stack([view.image for view in views])
    segment_map = np.stack([view.segment_map for view in views]).astype(np.int64)
    return Batch(torch.from_numpy(images), torch.from_numpy(segment_map), torch.from_numpy(classes))


def _require_views(views: Sequence[View | PemError]) -> list[View]:
    """Return the views, or raise the first error among them."""
    good = []
    for view in views:
        if isinstance(view, PemError):
            raise view
        good.append(view)
    return good


class _ViewDataset(data.Dataset[View | PemError]):
    """The views of a run, or the errors that prevent them: raised in a worker, they would come with a traceback."""

    def __init__(self, views: NumberedViews) -> None:
        self.views = views

    def __getitem__(self, number: int) -> View | PemError:
        try:
            return self.views[number]
        except PemError as error:
            return error


class _BatchSampler:
    """The numbers of the views in this process's part of each batch."""

    def __init__(self, settings: TrainingSettings, processes: Processes, start: int) -> None:
        self.settings, self.processes, self.start = settings, processes, start

    def __len__(self) -> int:
        return self.settings.steps - self.start

    def __iter__(self) -> Iterator[Sequence[int]]:
        batch = self.settings.batch
        for step in range(self.start, self.settings.steps):
            yield range(step * batch + self.processes.rank, (step + 1) * batch, self.processes.world_size)
