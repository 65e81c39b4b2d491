"""A dataset in COCO's panoptic format (https://cocodataset.org/#format-data), whose images are read on access."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets import panoptic_map
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside import json_text
from pem_edge.runtime.outside.reading import read_bytes, reading
from pem_edge.runtime.results import coco_format

_Id = int | str
_LIMIT = 4_000_000_000
_EXPECTED, _CURE = "a COCO panoptic JSON (images, annotations, categories)", "correct it, or write it again"


class _Image(msgspec.Struct):
    id: _Id
    file_name: str


class _Segment(msgspec.Struct):
    id: int
    category_id: _Id
    iscrowd: bool | int | None = 0


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
        with reading(annotations, InputError, expected=_EXPECTED, cure=_CURE):
            self._maps = [_find_map(panoptic_folder, record.file_name, annotations) for record in document.annotations]
            self._images = _find_images(document, image_folder, annotations)

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, index: int) -> Sample:
        image_path, map_path, segments = self._images[index], self._maps[index], self._segments[index]
        image, panoptic = images.read(image_path), panoptic_map.read(map_path)
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
    data = read_bytes(path, InputError, limit=_LIMIT, expected=_EXPECTED, cure="give another file")
    with reading(path, InputError, expected=_EXPECTED, cure=_CURE):
        document: _Document = json_text.decode(data, _Document)
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
        if not 0 < segment.id <= panoptic_map.MAX_ID:
            raise InputError(f"{path} has {what} {segment.id}, expected 1 to {panoptic_map.MAX_ID}; 0 is void")
        if segment.category_id not in classes:
            raise InputError(
                f"{path} has category {segment.category_id!r} in {record.file_name}, which is none of its "
                f"{len(classes)} categories"
            )
    return [
        TrueSegment(segment.id, classes[segment.category_id], bool(segment.iscrowd)) for segment in record.segments_info
    ]


def _inside(folder: Path, name: str, annotations: Path) -> Path:
    """Return the path of a file that the JSON names. Raises InputError if the name leads out of ``folder``."""
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or ".." in parts or PurePosixPath(name).is_absolute():
        raise InputError(f"{annotations} names the file {name!r}, expected one in {folder}, without '..'")
    return folder / name


def _find_map(folder: Path, name: str, annotations: Path) -> Path:
    path = _inside(folder, name, annotations)
    if not path.is_file():
        raise InputError(f"{annotations} names the map {name}, which is not in {folder}")
    return path


def _find_images(document: _Document, folder: Path, annotations: Path) -> list[Path]:
    """Return the image file of each annotation."""
    names = {image.id: image.file_name for image in document.images}
    below: dict[str, list[Path]] | None = None  # files by name, listed only if one is not directly in the folder
    paths = []
    for record in document.annotations:
        if record.image_id not in names:
            raise InputError(f"{annotations} annotates image {record.image_id!r}, which is none of its {len(names)}")
        path = _inside(folder, names[record.image_id], annotations)
        if not path.is_file():
            below = _list_below(folder) if below is None else below
            path = _find_below(names[record.image_id], below, folder, annotations)
        paths.append(path)
    return paths


def _list_below(folder: Path) -> dict[str, list[Path]]:
    """Return the files in ``folder`` and in folders below it, by name."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.rglob("*")):
        found.setdefault(entry.name, []).append(entry)
    return found


def _find_below(name: str, below: Mapping[str, list[Path]], folder: Path, annotations: Path) -> Path:
    """Return the image called ``name`` from the files ``below`` a folder, which are given by name.

    Of several files with that name, the one whose folders match most of ``name`` is taken.

    Cityscapes needs a second try: its converter (createPanopticImgs.py in https://github.com/mcordts/cityscapesScripts)
    writes x_gtFine_leftImg8bit.png into the JSON file for an image called x_leftImg8bit.png.
    """
    for candidate in (Path(name).name, Path(name).name.replace("_gtFine_leftImg8bit", "_leftImg8bit")):
        if candidate in below:
            wanted = (*PurePosixPath(name).parts[:-1], candidate)
            best = sorted(below[candidate], key=lambda path: _common_end(path.parts, wanted), reverse=True)
            if len(best) > 1 and _common_end(best[0].parts, wanted) == _common_end(best[1].parts, wanted):
                either = f"{best[0]} or {best[1]}"
                raise InputError(
                    f"{annotations} names the image {name}, which may be {either}: name it with its folder"
                )
            return best[0]
    raise InputError(f"{annotations} names the image {name}, which is not in {folder}")


def _common_end(path: Sequence[str], wanted: Sequence[str]) -> int:
    """Return how many parts at the end of two paths are the same."""
    pairs = zip(reversed(path), reversed(wanted), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


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
