"""Describes what comes with weights beside their tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pem_edge.pem.model import Channels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task

_MOST = 1e6
"""Limit on means and deviations, beyond which pixels of 0 to 255 lose their values; deviations have it below 1, too."""


@dataclass(frozen=True)
class Description:
    """Holds what is known of weights; None for what is not.

    Attributes:
        labels: The classes, in the order of the class logits.
        task: The kind of segmentation that the weights were trained for.
        size: The size of the images that they were trained for, height and width in pixels.
        mean: The mean that is subtracted from RGB pixels of 0 to 255.
        std: The standard deviation that the difference is divided by.
        license: The SPDX identifier of the weights' license.
    """

    labels: tuple[Label, ...] | None = None
    task: Task | None = None
    size: tuple[int, int] | None = None
    mean: Channels | None = None
    std: Channels | None = None
    license: str | None = None

    def completed_by(self, other: Description) -> Description:
        """Return this description with what it does not know taken from ``other``."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})


def are_means(values: Channels) -> bool:
    """Return whether pixels of 0 to 255 keep their values when ``values`` are subtracted from them."""
    return all(abs(each) <= _MOST for each in values)


def are_deviations(values: Channels) -> bool:
    """Return whether pixels of 0 to 255 keep their values when they are divided by ``values``."""
    return all(1 / _MOST <= each <= _MOST for each in values)
