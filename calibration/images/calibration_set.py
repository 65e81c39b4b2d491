"""Gathers the set of images that a model is calibrated on, from a folder or a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pem_edge.calibration.images.inspection import ImageSummary, findings, summarize
from pem_edge.calibration.images.selection import pick
from pem_edge.runtime import sources
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import has_labels, open_dataset
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference import preprocess
from pem_edge.runtime.sources.readable import read_readable, tell_left_out

COUNT = 200
"""Default number of calibration images."""

_CANDIDATES = 4
"""Number of candidates that are summarized for each image that is picked, evenly spaced in the source."""


class CalibrationSet:
    """The images picked from a source, fitted to a model's input. Each iteration reads them again.

    Attributes:
        findings: Warnings for the user, one line each.
        size: The height and width of the model's input.
        digest: The SHA-256 that identifies the fitted images, in hexadecimal, whatever their order.
    """

    def __init__(
        self, source: _Source, spec: InputSpec, picked: Sequence[ImageSummary], remarks: Sequence[str]
    ) -> None:
        self._source, self._spec = source, spec
        self._indices = sorted(each.index for each in picked)
        self.findings = tuple(remarks)
        self.size = spec.height, spec.width
        self.digest = hashlib.sha256("".join(sorted(each.digest for each in picked)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield each image as the model's input, uint8 (1, H, W, 3). Raises InputError if one cannot be read."""
        for index in self._indices:
            image, _ = self._source.read(index)
            yield preprocess.prepare(image, self._spec)[0][np.newaxis]


def gather(
    source: str | Path | Dataset, spec: InputSpec, count: int = COUNT, name: str | None = None
) -> CalibrationSet:
    """Pick calibration images. The choice is deterministic.

    With labels, the images are picked to cover the classes; without labels, they are spread evenly from dark to bright.
    Pictures of a folder that cannot be read are left out. A progress bar goes to standard error, if that is a terminal.

    Args:
        source: A folder of images, a dataset, or a string that `open_dataset` accepts.
        spec: The input that the images are fitted to.
        count: The number of images to pick; if there are fewer, all are taken.
        name: The name of a dataset for messages; None for that of its class.

    Raises:
        InputError: If ``count`` is below 1, or if there are no images, a labeled one or all cannot be read, or all are
            identical.
    """
    if count < 1:
        raise InputError(f"{count} calibration images: ask for 1 or more, the default is {COUNT}")
    found = _open(source, name)
    summaries, unreadable = _inspect(found, spec, count)
    distinct = list({each.digest: each for each in reversed(summaries)}.values())[::-1]
    if len(distinct) == 1 < len(summaries):
        raise InputError(f"all {len(summaries)} images of {found.name} are identical: give different images")
    picked = pick(distinct, count)
    remarks = [*tell_left_out(unreadable), *findings(summaries, picked, found.labels)]
    return CalibrationSet(found, spec, picked, remarks)


class _Source(Protocol):
    """A sequence of images, each with the indices of the classes in it, or None if there are no labels."""

    name: str
    labels: Sequence[Label] | None

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[NDArray[np.uint8], frozenset[int] | None]: ...


class _Labeled:
    """The images of a labeled dataset."""

    def __init__(self, name: str, dataset: Dataset) -> None:
        self.name, self._dataset = name, dataset
        self.labels: Sequence[Label] | None = dataset.labels

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, index: int) -> tuple[NDArray[np.uint8], frozenset[int] | None]:
        sample = self._dataset[index]
        return sample.image, frozenset(segment.category_id for segment in sample.segments)


class _Folder:
    """The images of a folder, which have no labels."""

    labels: Sequence[Label] | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        if (found := sources.find_pictures(name)) is None:
            raise InputError(f"{name} is a video: give a folder of images to calibrate on")
        self._frames = list(found)

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, index: int) -> tuple[NDArray[np.uint8], frozenset[int] | None]:
        return self._frames[index].read(), None


def _open(source: str | Path | Dataset, name: str | None) -> _Source:
    if not isinstance(source, (str, Path)):
        return _Labeled(name or type(source).__name__, source)
    text = str(source)
    return _Labeled(text, open_dataset(text)) if has_labels(text) else _Folder(text)


def _candidates(total: int, count: int) -> Sequence[int]:
    wanted = min(total, _CANDIDATES * count)
    return [index * total // wanted for index in range(wanted)]


def _inspect(source: _Source, spec: InputSpec, count: int) -> tuple[list[ImageSummary], list[InputError]]:
    """Return the summaries of the candidates, and why others cannot be read.

    Raises InputError if none can be read, or one that has labels.
    """

    def summarize_one(index: int) -> ImageSummary:
        image, classes = source.read(index)
        fitted, geometry = preprocess.prepare(image, spec)
        return summarize(index, fitted, geometry.image_size, classes)

    with tqdm(_candidates(len(source), count), desc="inspecting", unit="image", disable=None) as indices:
        if source.labels is not None:
            return [summarize_one(index) for index in indices], []
        return read_readable(indices, summarize_one)
