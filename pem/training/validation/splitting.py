"""Setting part of a dataset aside for validation.

Pictures are often frames of a video, and neighboring ones nearly alike. If they were drawn at random, most of those
set aside would have a near copy among those trained on, and the scores would be too good. Here they are whole blocks of
neighbors in the order of their names: only those at the ends of a block have a neighbor on the other side. One block
would be of one scene alone, so there are about as many blocks as there are images in each, spread over the dataset;
but of few images, blocks of about 5, so that most have no such neighbor. Fewer than 10 are one block, maybe of a scene.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from itertools import pairwise

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Dataset, Sample, names_of
from pem_edge.runtime.errors import TrainingError

_SHORTEST = 5
"""Least number of images per block, so that at most two fifths of many have a neighbor that is trained on."""


class Subset:
    """Some samples of a dataset.

    Args:
        dataset: The dataset.
        indices: Their indices in it.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self._dataset, self.indices = dataset, tuple(indices)

    @property
    def labels(self) -> Sequence[Label]:
        """The classes of the dataset."""
        return self._dataset.labels

    @property
    def names(self) -> Sequence[str] | None:
        """The paths of the images, if the dataset knows them."""
        names = names_of(self._dataset)
        return None if names is None else [names[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[self.indices[index]]


def split_dataset(dataset: Dataset, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Divide a dataset into images to train on and images for validation, the same ones each time.

    Args:
        dataset: The dataset.
        fraction: The share for validation, above 0 and below 1; at least one image is on either side.
        seed: Chooses where the blocks begin.

    Returns:
        Those to train on and those for validation, each in the dataset's order.

    Raises:
        TrainingError: If the dataset has fewer than two images, or the fraction is out of range.
    """
    count = len(dataset)
    if not 0 < fraction < 1:
        raise TrainingError(f"the share for validation is {fraction}, expected more than 0 and less than 1: try 0.1")
    if count < 2:
        raise TrainingError(
            f"the dataset has {count} of the at least 2 images that it takes to set one aside for validation: add "
            "images, or train without validation"
        )
    held = min(count - 1, max(1, round(fraction * count)))
    order = _in_order_of_names(dataset)
    chosen = {order[place] for place in _blocks(count, held, random.Random(seed))}
    kept = [index for index in range(count) if index not in chosen]
    return Subset(dataset, kept), Subset(dataset, sorted(chosen))


def _blocks(count: int, held: int, rng: random.Random) -> list[int]:
    """Return ``held`` of ``count`` places: a block at a random place in each of equal stretches."""
    stretches = max(1, min(round(math.sqrt(held)), held // _SHORTEST))
    places: list[int] = []
    for start, end in pairwise(index * count // stretches for index in range(stretches + 1)):
        length = end * held // count - start * held // count
        first = start + int(rng.random() * (end - start - length + 1))
        places += range(first, first + length)
    return places


def _in_order_of_names(dataset: Dataset) -> list[int]:
    """Return the indices by name, numbers in names by their value; as they are if the dataset has no names."""
    indices, names = list(range(len(dataset))), names_of(dataset)
    return indices if names is None else sorted(indices, key=lambda index: _natural(names[index]))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which "frame_9" is before "frame_10"."""
    parts = re.split("([0-9]+)", name)
    return [_number(part) if place % 2 else (0, part) for place, part in enumerate(parts)]


def _number(digits: str) -> tuple[int, str]:
    significant = digits.lstrip("0")
    return len(significant), significant
