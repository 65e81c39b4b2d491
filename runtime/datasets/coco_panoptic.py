"""A dataset in COCO's panoptic format (https://cocodataset.org/#format-data), whose images are read on access."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import coco_format

_Id = int | str
_MAX_ID = (1 << 24) - 1
"""Largest segment id that a color of the PNG can hold."""


class _Image(msgspec.Struct):
    id: _Id
    file_name: str


class _Segment(msgspec.Struct):
    id: int
    category_id: _Id
    iscrowd: bool | int = 0


class _Annotation(msgspec.Struct):
    image_id: _Id
    file_name: str
    segments_info: list[_Segment]


class _Category(msgspec.Struct):
    id: _Id
    name: str


class _Document(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class CocoPanoptic:
    """The images of a JSON file that have annotations, in the order of the annotations.

    Class indices follow the order of ``categories``; the ids in the file may be any. Accessing a sample raises
    InputError if its image or map is damaged, their sizes differ, or the map has an id that no segment has.

    Args:
        annotations: The JSON file.
        image_folder: The folder of the images, which may also lie in folders below it.
        panoptic_folder: The folder of the panoptic maps, which are PNGs.

    Raises:
        InputError: If the JSON file is missing, invalid or contradicts itself, or a file that it names is missing.
    """

    def __init__(self, annotations: Path, image_folder: Path, panoptic_folder: Path) -> None:
        document = _read(annotations)
        self._annotations = annotations
        self.labels: Sequence[Label] = labels.load(str(annotations))
        classes = _number_classes(document.categories, annotations)
        self._segments = [_read_segments(record, classes, annotations) for record in document.annotations]
        self._maps = [_find_map(panoptic_folder, record.file_name, annotations) for record in document.annotations]
        self._images = _find_images(document, image_folder, annotations)

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, index: int) -> Sample:
        image_path, map_path, segments = self._images[index], self._maps[index], self._segments[index]
        image, panoptic = images.read(image_path), coco_format.decode(images.read(map_path))
        if image.shape[:2] != panoptic.shape:
            raise InputError(
                f"{image_path} is {_size(image)} and its map {map_path} {_size(panoptic)}: "
                "expected the same height x width"
            )
        unlisted = sorted(_distinct_ids(panoptic) - {segment.id for segment in segments} - {0})
        if unlisted:
            red, green, blue = coco_format.encode(np.array(unlisted[:1]))[0].tolist()
            raise InputError(
                f"{map_path} has the color ({red}, {green}, {blue}), id {unlisted[0]}, which is none of its "
                f"{len(segments)} segments in {self._annotations}: list it there, or make it black, which is void"
            )
        return Sample(str(image_path), image, panoptic, segments)


def _read(path: Path) -> _Document:
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; give a COCO panoptic JSON") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a COCO panoptic JSON (images, annotations, categories): {error}") from error
    _refuse_duplicates((image.id for image in document.images), "image id", path)
    _refuse_duplicates((record.image_id for record in document.annotations), "annotation of image", path)
    _refuse_duplicates((category.name for category in document.categories), "category name", path)
    if not document.annotations:
        raise InputError(f"{path} has no annotations, at least one is needed")
    return document


def _number_classes(categories: Sequence[_Category], path: Path) -> dict[_Id, int]:
    """Return the class index of each category, by the category's id."""
    _refuse_duplicates((category.id for category in categories), "category id", path)
    return {category.id: index for index, category in enumerate(categories)}


def _read_segments(record: _Annotation, classes: Mapping[_Id, int], path: Path) -> list[TrueSegment]:
    """Return the segments of an annotation. ``path`` is the JSON file, for messages."""
    what = f"segment id of {record.file_name}"
    _refuse_duplicates((segment.id for segment in record.segments_info), what, path)
    for segment in record.segments_info:
        if not 0 < segment.id <= _MAX_ID:
            raise InputError(f"{path} has {what} {segment.id}, expected 1 to {_MAX_ID}; 0 is void")
        if segment.category_id not in classes:
            raise InputError(
                f"{path} has category {segment.category_id!r} in {record.file_name}, which is none of its "
                f"{len(classes)} categories"
            )
    return [
        TrueSegment(segment.id, classes[segment.category_id], bool(segment.iscrowd)) for segment in record.segments_info
    ]


def _find_map(folder: Path, name: str, annotations: Path) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(f"{annotations} names the map {name}, which is not in {folder}")
    return path


def _find_images(document: _Document, folder: Path, annotations: Path) -> list[Path]:
    """Return the image file of each annotation."""
    names = {image.id: image.file_name for image in document.images}
    below: dict[str, Path] | None = None  # files by name, listed only if one is not directly in the folder
    paths = []
    for record in document.annotations:
        if record.image_id not in names:
            raise InputError(f"{annotations} annotates image {record.image_id!r}, which is none of its {len(names)}")
        path = folder / names[record.image_id]
        if not path.is_file():
            below = {entry.name: entry for entry in folder.rglob("*")} if below is None else below
            path = _find_below(names[record.image_id], below, folder, annotations)
        paths.append(path)
    return paths


def _find_below(name: str, below: Mapping[str, Path], folder: Path, annotations: Path) -> Path:
    """Return the image called ``name`` from the files ``below`` a folder, which are given by name.

    Cityscapes needs a second try: its converter (createPanopticImgs.py in https://github.com/mcordts/cityscapesScripts)
    writes x_gtFine_leftImg8bit.png into the JSON file for an image called x_leftImg8bit.png.
    """
    for candidate in (Path(name).name, Path(name).name.replace("_gtFine_leftImg8bit", "_leftImg8bit")):
        if candidate in below:
            return below[candidate]
    raise InputError(f"{annotations} names the image {name}, which is not in {folder}")


def _refuse_duplicates(values: Iterable[_Id], what: str, path: Path) -> None:
    seen: set[_Id] = set()
    for value in values:
        if value in seen:
            raise InputError(f"{path} has the {what} {value!r} twice, expected once")
        seen.add(value)


def _distinct_ids(panoptic: NDArray[np.int32]) -> set[int]:
    """Return the distinct ids of a map."""
    flat = panoptic.ravel()  # equal ids come in long runs, so only the first of each run is looked at
    return set(flat[np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1))].tolist())


def _size(image: NDArray[np.uint8] | NDArray[np.int32]) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
