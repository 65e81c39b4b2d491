"""The augmented views of a run, each of which depends on the seed and its number alone."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pem_edge.pem.training.data import appearance, copy_paste
from pem_edge.pem.training.data.views import View, random_view
from pem_edge.pem.training.settings import AUGMENTATIONS, Augmentation, TrainingSettings
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.dataset import Dataset

_PASTED = 0.5
"""Probability that a view gets things of another image, which costs the time to read that one."""


class NumberedViews:
    """The views of a run, numbered from 0 without an end: each epoch goes through the dataset in a new order.

    What an augmentation does to a view does not depend on which others there are, except that things are copied from
    images that are flipped and whose colors are changed only if others are, too.
    """

    def __init__(self, dataset: Dataset, settings: TrainingSettings) -> None:
        self.dataset, self.settings = dataset, settings
        self._things = labels.things(dataset.labels)

    def __getitem__(self, number: int) -> View:
        """Return a view. Raises PemError if a sample cannot be read."""
        epoch, position = divmod(number, len(self.dataset))
        index = int(_shuffle(len(self.dataset), self.settings.seed, epoch)[position])
        view = self._view(index, np.random.default_rng([self.settings.seed, 1, number]))
        if "copy-paste" in self.settings.augmentations and self._things:
            view = self._paste(view, number)
        image = view.image
        if "blur" in self.settings.augmentations:
            image = appearance.blur(image, self._own_random("blur", number))
        if "jpeg" in self.settings.augmentations:
            image = appearance.compress(image, self._own_random("jpeg", number))
        return replace(view, image=image)

    def _paste(self, view: View, number: int) -> View:
        random = self._own_random("copy-paste", number)
        if random.random() >= _PASTED:
            return view
        other = self._view(int(random.integers(len(self.dataset))), self._own_random("copy-paste", number, 1))
        return copy_paste.paste(view, other, self._things, random)

    def _view(self, index: int, random: Generator) -> View:
        sample, settings = self.dataset[index], self.settings
        fitted = 1.0 if settings.input_size is None else _fit(sample.panoptic.shape, settings.input_size)
        low, high = settings.scale
        return random_view(sample, settings.size, (low * fitted, high * fitted), random, settings.augmentations)

    def _own_random(self, augmentation: Augmentation, number: int, use: int = 0) -> Generator:
        """Return a generator for an augmentation of view ``number`` alone, of which each use has another."""
        key = (AUGMENTATIONS.index(augmentation), use)
        return np.random.default_rng(np.random.SeedSequence([self.settings.seed, 1, number], spawn_key=key))


def _fit(image: tuple[int, ...], size: tuple[int, int]) -> float:
    """Return the factor by which an image is scaled to fit into the model's input."""
    return min(wanted / length for wanted, length in zip(size, image, strict=True))


@lru_cache(maxsize=2)
def _shuffle(length: int, seed: int, epoch: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, 0, epoch]).permutation(length)
