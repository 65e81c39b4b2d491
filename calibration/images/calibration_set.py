"""Calibration images: where they come from, and the set that a model is calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pem_edge.calibration.images.inspection import ImageSummary, findings, look
from pem_edge.calibration.images.selection import pick
from pem_edge.runtime import sources
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import has_labels, open_dataset
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference import preprocess

COUNT = 200
"""Images that a model is calibrated on unless the user says how many."""

_CANDIDATES = 4
"""How many candidates are looked at, evenly spaced, for each image that is picked."""


class CalibrationSet:
    """The images picked from a source, fitted to a model's input; read anew each time they are iterated over.

    ``findings`` are remarks for the user, a line each; ``digest`` is the hex SHA-256 of the fitted pixels.
    """

    def __init__(
        self, source: _Source, spec: InputSpec, picked: Sequence[ImageSummary], remarks: Sequence[str]
    ) -> None:
        self._source, self._spec = source, spec
        self._indices = sorted(looks.index for looks in picked)
        self.findings = tuple(remarks)
        self.size = spec.height, spec.width
        self.digest = hashlib.sha256("".join(sorted(looks.digest for looks in picked)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield arrays of uint8 (1, H, W, 3), as the model takes them. Raises InputError."""
        for index in self._indices:
            image, _ = self._source.read(index)
            yield preprocess.prepare(image, self._spec)[0][np.newaxis]


def gather(source: str | Path | Dataset, spec: InputSpec, count: int = COUNT) -> CalibrationSet:
    """Pick calibration images; the same ones each time.

    With labels, images are picked that cover the classes best; without, images evenly from dark to bright. Progress
    goes to standard error.

    Args:
        source: A folder of pictures, a dataset, or what `open_dataset` takes.
        spec: The input that the images are fitted to.
        count: The number of images to pick; if there are fewer, all are taken.

    Raises:
        InputError: If there are none, one cannot be read, or all are identical.
    """
    if count < 1:
        raise InputError(f"{count} calibration images: ask for 1 or more, {COUNT} is usual")
    found = _open(source)
    looks = [_look(found, index, spec) for index in tqdm(_candidates(len(found), count), desc="looking", unit="image")]
    distinct = list({each.digest: each for each in reversed(looks)}.values())[::-1]
    if len(distinct) == 1 < len(looks):
        raise InputError(f"all {len(looks)} images of {found.name} are identical: give different pictures")
    picked = pick(distinct, count)
    return CalibrationSet(found, spec, picked, findings(looks, picked, found.labels))


class _Source(Protocol):
    """Images by number, and the classes in each, None where there are no labels."""

    name: str
    labels: Sequence[Label] | None

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[NDArray[np.uint8], frozenset[int] | None]: ...


class _Labeled:
    def __init__(self, name: str, dataset: Dataset) -> None:
        self.name, self._dataset = name, dataset
        self.labels: Sequence[Label] | None = dataset.labels

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, index: int) -> tuple[NDArray[np.uint8], frozenset[int] | None]:
        sample = self._dataset[index]
        return sample.image, frozenset(segment.category_id for segment in sample.segments)


class _Folder:
    labels: Sequence[Label] | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        found = sources.find(name)
        if not isinstance(found, sources.Pictures):
            raise InputError(f"{name} is a video: give a folder of pictures to calibrate on")
        self._frames = list(found)

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, index: int) -> tuple[NDArray[np.uint8], frozenset[int] | None]:
        return self._frames[index].read(), None


def _open(source: str | Path | Dataset) -> _Source:
    if not isinstance(source, (str, Path)):
        return _Labeled(type(source).__name__, source)
    text = str(source)
    return _Labeled(text, open_dataset(text)) if has_labels(text) else _Folder(text)


def _candidates(total: int, count: int) -> Sequence[int]:
    wanted = min(total, _CANDIDATES * count)
    return [index * total // wanted for index in range(wanted)]


def _look(source: _Source, index: int, spec: InputSpec) -> ImageSummary:
    image, classes = source.read(index)
    fitted, geometry = preprocess.prepare(image, spec)
    return look(index, fitted, geometry.image_size, classes)
