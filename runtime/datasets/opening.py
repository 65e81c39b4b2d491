"""Datasets by what a user types for one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import InputError


@dataclass(frozen=True)
class DatasetLocation:
    """Where a dataset is.

    Attributes:
        text: A folder in COCO's panoptic format, which has ``panoptic.json`` and the folders ``images`` and
            ``panoptic``; or ``toy:COUNT[:HxW[:SEED]]`` for toy streets, 256x512 with seed 0 by default.
        annotations: The JSON file, if it is elsewhere.
        images: The folder of pictures, if it is elsewhere.
        panoptic: The folder of panoptic PNGs, if it is elsewhere.

    Raises:
        InputError: If there is no ``text`` and not all of the others.
    """

    text: str | None = None
    annotations: Path | None = None
    images: Path | None = None
    panoptic: Path | None = None

    def __post_init__(self) -> None:
        if self.text is None and None in (self.annotations, self.images, self.panoptic):
            raise InputError("no dataset: give --dataset, or all of --annotations, --images and --panoptic")

    def open(self) -> Dataset:
        """Open the dataset. Raises InputError if it is missing or damaged."""
        if self.text is not None and self.text.startswith("toy:"):
            return _toy_streets(self.text)
        folder = Path(self.text or "")
        if not folder.is_dir():
            raise InputError(
                f"{self.text} is not a folder: give one in COCO's panoptic format, or toy:COUNT[:HxW[:SEED]]"
            )
        return CocoPanoptic(
            self.annotations or folder / "panoptic.json",
            self.images or folder / "images",
            self.panoptic or folder / "panoptic",
        )


def open_dataset(text: str) -> Dataset:
    """Open the dataset that ``text`` names, see `DatasetLocation`. Raises InputError."""
    return DatasetLocation(text).open()


def has_labels(text: str) -> bool:
    """Return whether ``text`` names a dataset with labels, rather than a folder of mere pictures."""
    return text.startswith("toy:") or (Path(text) / "panoptic.json").is_file()


def _toy_streets(text: str) -> Dataset:
    match = re.fullmatch(r"toy:([1-9]\d{0,8})(?::([1-9]\d{0,4})x([1-9]\d{0,4})(?::(\d{1,18}))?)?", text)
    if match is None:
        raise InputError(f"{text!r} is not a dataset: expected toy:COUNT[:HxW[:SEED]], such as toy:200:256x512:7")
    from pem_edge.runtime.datasets.toy_streets import ToyStreets

    return ToyStreets(*(int(number) for number in match.groups() if number is not None))
