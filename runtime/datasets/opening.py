"""Opening a dataset from the text or paths that a user gives."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.layouts import ade20k, cityscapes, coco, label_folders, mapillary
from pem_edge.runtime.datasets.layouts.source import Source
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.suggestions import did_you_mean


@dataclass(frozen=True)
class Layout:
    """A layout of datasets.

    Attributes:
        name: Its name in messages.
        open: Opens a dataset; raises InputError.
        recognizes: Whether a folder looks like it.
        tells_things: Whether the dataset tells which classes are things, so that the user need not.
    """

    name: str
    open: Callable[[Source], Dataset]
    recognizes: Callable[[Path], bool]
    tells_things: bool = True


LAYOUTS = {
    "cityscapes": Layout("Cityscapes", cityscapes.open_dataset, cityscapes.recognizes),
    "ade20k": Layout("ADE20K", ade20k.open_dataset, ade20k.recognizes),
    "mapillary": Layout("Mapillary Vistas", mapillary.open_dataset, mapillary.recognizes),
    "mapillary-v2": Layout("Mapillary Vistas v2.0", mapillary.open_v2, mapillary.recognizes),
    "coco": Layout("COCO", coco.open_dataset, coco.recognizes),
    "camvid": Layout("CamVid", label_folders.open_camvid, label_folders.recognizes_camvid, tells_things=False),
    "labels": Layout("label maps", label_folders.open_dataset, label_folders.recognizes, tells_things=False),
}
"""The layouts by their prefixes, the most special first."""

_TOY = "toy"
_EXPECTED = (
    "a folder in COCO's panoptic format, with panoptic.json, "
    f"{':DIR, '.join(LAYOUTS)}:DIR, or {_TOY}:COUNT[:HxW[:SEED]]"
)


@dataclass(frozen=True)
class DatasetLocation:
    """The location of a dataset.

    Attributes:
        text: A folder in COCO's panoptic format, with ``panoptic.json`` and the folders ``images`` and ``panoptic``;
            ``PREFIX:DIR`` or ``PREFIX:DIR:SPLIT`` for a folder of one of `LAYOUTS`; or ``toy:COUNT[:HxW[:SEED]]`` for
            toy streets, 256x512 with seed 0 unless given, COUNT at most 9999999.
        annotations: The JSON file, if it is not in the folder.
        images: The folder of images, if it is not in the folder.
        panoptic: The folder of panoptic PNGs, if it is not in the folder.
        split: The name of the split; None for the only one. Of a folder in COCO's panoptic format, it is the SPLIT of
            ``panoptic_SPLIT.json``.
        things: The classes that are things, where labels do not tell; None for those with usual names of things.

    Raises:
        InputError: If ``text`` is None and a path is missing, or if what is given does not go with ``text``.
    """

    text: str | None = None
    annotations: Path | None = None
    images: Path | None = None
    panoptic: Path | None = None
    split: str | None = None
    things: Sequence[str] | None = None

    def __post_init__(self) -> None:
        paths = (self.annotations, self.images, self.panoptic)
        if self.text == "":
            raise InputError(f"the name of the dataset is empty: give {_EXPECTED}")
        if self.text is None and None in paths:
            raise InputError("no dataset: give --dataset, or all of --annotations, --images and --panoptic")
        prefix = _prefix(self.text or "")
        if prefix is not None and any(paths):
            why = "is generated and has no files" if prefix == _TOY else "names all files itself"
            raise InputError(f"{self.text} {why}: leave out --annotations, --images and --panoptic")
        if self.split is not None and (prefix == _TOY or self.annotations is not None):
            what = self.text if prefix == _TOY else f"--annotations {self.annotations}"
            raise InputError(f"{what} has no splits: leave out --split {self.split}")
        if self.things is not None and _tells_things(prefix):
            raise InputError(f"{self.text or self.annotations} tells which classes are things: leave out --things")

    def of_split(self, name: str) -> DatasetLocation:
        """Return the location of another split. Raises InputError if there are no splits, or the folder is missing."""
        text = self.text or ""
        prefix, _, place = text.partition(":")
        if _prefix(text) in LAYOUTS:
            text = f"{prefix}:{_divide(prefix, place)[0]}"
        return replace(self, text=text or None, split=name)

    def beside(self, text: str) -> DatasetLocation:
        """Return the location of a dataset of the same classes, which has the same things unless it tells itself."""
        return DatasetLocation(text, things=None if _tells_things(_prefix(text)) else self.things)

    def open(self) -> Dataset:
        """Open the dataset. Raises InputError if it is missing or damaged."""
        text = self.text or ""
        prefix = _prefix(text)
        if prefix == _TOY:
            return _toy_streets(text)
        if prefix is not None:
            source = _source(prefix, text.partition(":")[2], self.split, self.things)
            with _reading_folder(text):
                return LAYOUTS[prefix].open(source)
        folder = Path(text)
        name = "panoptic.json" if self.split is None else f"panoptic_{self.split}.json"
        if self.annotations is None:
            _require_annotations(folder, name)
        return CocoPanoptic(
            self.annotations or folder / name,
            self.images or folder / "images",
            self.panoptic or folder / "panoptic",
        )


def open_dataset(text: str) -> Dataset:
    """Open the dataset that ``text`` names, as `DatasetLocation` describes it. Raises InputError."""
    return DatasetLocation(text).open()


def has_labels(text: str) -> bool:
    """Return whether ``text`` names a labeled dataset, rather than a folder of images alone. Raises InputError."""
    with _reading_folder(text):
        return _prefix(text) is not None or (Path(text) / "panoptic.json").is_file()


def _reading_folder(text: str) -> AbstractContextManager[None]:
    return reading(brief(text), InputError, expected="a folder", cure=f"give {_EXPECTED}")


def _prefix(text: str) -> str | None:
    """Return the prefix that ``text`` has, if it is a known one."""
    prefix, colon, _ = text.partition(":")
    return prefix if colon and (prefix == _TOY or prefix in LAYOUTS) else None


def _tells_things(prefix: str | None) -> bool:
    return prefix not in LAYOUTS or LAYOUTS[prefix].tells_things


def _source(prefix: str, place: str, split: str | None, things: Sequence[str] | None) -> Source:
    """Return the source at ``place``. Raises InputError if that is none, or names another split than ``split``."""
    folder, own = _divide(prefix, place)
    if None not in (own, split) and own != split:
        raise InputError(f"{prefix}:{place} names the split {own} and --split {split}: leave out one of them")
    return Source(prefix, folder, own or split, things)


def _divide(prefix: str, place: str) -> tuple[Path, str | None]:
    """Return the folder and, if any, the split that ``place`` names. Raises InputError if the folder is missing."""
    folder, _, own = place.rpartition(":")
    with _reading_folder(place):
        if place and Path(place).is_dir():
            return Path(place), None
        if not folder or not own or not Path(folder).is_dir():
            raise InputError(f"{brief(f'{prefix}:{place}')} names no folder that is there: give {prefix}:DIR")
    return Path(folder), own


def _require_annotations(folder: Path, name: str) -> None:
    """Raise InputError, and say what may be meant, unless ``name`` is in the folder."""
    with _reading_folder(str(folder)):
        if not folder.is_dir():
            meant = did_you_mean(str(folder).partition(":")[0], LAYOUTS) if ":" in str(folder) else ""
            raise InputError(f"{folder} is not a folder{meant or f': give {_EXPECTED}'}")
        if not os.path.lexists(folder / name):
            raise InputError(f"{folder} has no {name}{_alternative(folder)}")


def _alternative(folder: Path) -> str:
    """Return what to do with a folder that lacks the annotations that were expected."""
    with suppress(OSError, InputError):  # of folders in it that cannot be read
        if splits := sorted(path.stem.removeprefix("panoptic_") for path in folder.glob("panoptic_*.json")):
            return f", but that of the splits {', '.join(splits)}: choose one with --split {splits[0]}"
        for prefix, layout in LAYOUTS.items():
            if layout.recognizes(folder):
                return f", but looks like {layout.name}: say {prefix}:{folder}"
    return f": give {_EXPECTED}"


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
