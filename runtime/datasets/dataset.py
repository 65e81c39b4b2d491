"""The interface of datasets: labeled images for evaluation, training and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pem_edge.runtime.artifacts.labels import Label


@dataclass(frozen=True)
class TrueSegment:
    """A region of a ground-truth panoptic map.

    Attributes:
        id: The value of its pixels in the map, 1 and up.
        category_id: The index of its class, 0 to K-1.
        iscrowd: Whether it is a group whose instances are not separated; predictions inside it are not judged.
    """

    id: int
    category_id: int
    iscrowd: bool = False


@dataclass(frozen=True)
class Sample:
    """An image and its ground truth.

    Attributes:
        name: The image's path, or the name of a generated scene.
        image: The image, RGB uint8 (H, W, 3).
        panoptic: The segment id of every pixel, int32 (H, W); 0 is void.
        segments: The segments of the panoptic map. A segment may have no pixels.
    """

    name: str
    image: NDArray[np.uint8]
    panoptic: NDArray[np.int32]
    segments: Sequence[TrueSegment]


class Dataset(Protocol):
    """A sequence of samples, each generated or read when it is accessed, and the classes of their labels.

    It may also have ``notes``, sentences on what its labels do not tell or what was left out, see `notes_of`.
    """

    @property
    def labels(self) -> Sequence[Label]:
        """The classes, in the order of their indices."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class DerivedDataset:
    """The part that datasets have in common whose samples are made of another's, one of each.

    Args:
        dataset: The other dataset.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @property
    def names(self) -> Sequence[str] | None:
        """The paths of the images, if the dataset knows them."""
        return names_of(self._dataset)

    def __len__(self) -> int:
        return len(self._dataset)


def names_of(dataset: Dataset) -> Sequence[str] | None:
    """Return the paths of a dataset's images, as in `Sample.name`; None if only reading the images tells.

    A dataset of files has them as ``names``.
    """
    return getattr(dataset, "names", None)


def notes_of(dataset: Dataset) -> Sequence[str]:
    """Return what a user should know about a dataset, a sentence each, for commands to say."""
    notes: Sequence[str] = getattr(dataset, "notes", ())
    return notes
