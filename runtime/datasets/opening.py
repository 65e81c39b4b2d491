"""Opening a dataset from the text or paths that a user gives."""

from __future__ import annotations

import math
import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import reading

_EXPECTED = "a folder in COCO's panoptic format, with panoptic.json, or toy:COUNT[:HxW[:SEED]]"


@dataclass(frozen=True)
class DatasetLocation:
    """The location of a dataset.

    Attributes:
        text: A folder in COCO's panoptic format, with ``panoptic.json`` and the folders ``images`` and ``panoptic``;
            or ``toy:COUNT[:HxW[:SEED]]`` for toy streets, 256x512 with seed 0 unless given, COUNT at most 9999999.
        annotations: The JSON file, if it is not in the folder.
        images: The folder of images, if it is not in the folder.
        panoptic: The folder of panoptic PNGs, if it is not in the folder.

    Raises:
        InputError: If ``text`` is None and a path is missing, or if ``text`` names toy streets and a path is given.
    """

    text: str | None = None
    annotations: Path | None = None
    images: Path | None = None
    panoptic: Path | None = None

    def __post_init__(self) -> None:
        paths = (self.annotations, self.images, self.panoptic)
        if self.text == "":
            raise InputError(f"the name of the dataset is empty: give {_EXPECTED}")
        if self.text is None and None in paths:
            raise InputError("no dataset: give --dataset, or all of --annotations, --images and --panoptic")
        if self.text is not None and _names_toy_streets(self.text) and any(paths):
            raise InputError(
                f"{self.text} is generated and has no files: leave out --annotations, --images and --panoptic"
            )

    def open(self) -> Dataset:
        """Open the dataset. Raises InputError if it is missing or damaged."""
        text = self.text or ""
        if _names_toy_streets(text):
            return _toy_streets(text)
        folder = Path(text)
        with _reading_folder(text):
            if not folder.is_dir():
                raise InputError(f"{text} is not a folder: give {_EXPECTED}")
            if self.annotations is None and not os.path.lexists(folder / "panoptic.json"):
                raise InputError(f"{text} has no panoptic.json: give {_EXPECTED}")
        return CocoPanoptic(
            self.annotations or folder / "panoptic.json",
            self.images or folder / "images",
            self.panoptic or folder / "panoptic",
        )


def open_dataset(text: str) -> Dataset:
    """Open the dataset that ``text`` names, as `DatasetLocation` describes it. Raises InputError."""
    return DatasetLocation(text).open()


def has_labels(text: str) -> bool:
    """Return whether ``text`` names a labeled dataset, rather than a folder of images alone. Raises InputError."""
    with _reading_folder(text):
        return _names_toy_streets(text) or (Path(text) / "panoptic.json").is_file()


def _reading_folder(text: str) -> AbstractContextManager[None]:
    return reading(brief(text), InputError, expected="a folder", cure=f"give {_EXPECTED}")


def _names_toy_streets(text: str) -> bool:
    return text.startswith("toy:")


def _toy_streets(text: str) -> Dataset:
    match = re.fullmatch(r"toy:([1-9]\d{0,6})(?::([1-9]\d{0,4})x([1-9]\d{0,4})(?::(\d{1,18}))?)?", text)
    if match is None:
        raise InputError(
            f"{brief(text)} is not a dataset: expected toy:COUNT[:HxW[:SEED]], such as toy:200:256x512:7, with a COUNT "
            "from 1 to 9999999"
        )
    numbers = [int(number) for number in match.groups() if number is not None]
    if math.prod(numbers[1:3]) > images.MAX_PIXELS:
        raise InputError(f"{text} has more than {images.MAX_PIXELS} pixels an image, the limit: give a smaller HxW")
    return ToyStreets(*numbers)
