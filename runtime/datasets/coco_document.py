"""The JSON document of a dataset in COCO's panoptic format, checked for what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.dataset import TrueSegment
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.results import coco_format

EXPECTED = "a COCO panoptic JSON (images, annotations, categories)"
CURE = "correct it, or name another file"

_Number = int | float  # pandas writes whole numbers as 1.0
_Id = int | float | str
_Flag = bool | int | float | None


class _Image(msgspec.Struct):
    id: _Id
    file_name: str


class _Segment(msgspec.Struct):
    id: _Number
    category_id: _Id
    iscrowd: _Flag = 0


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


@dataclass(frozen=True)
class Annotation:
    """An annotated image.

    Attributes:
        image: The name of the image's file, as it is written in the document.
        panoptic: The name of the panoptic map's file.
        segments: The segments of the map.
    """

    image: str
    panoptic: str
    segments: Sequence[TrueSegment]


def read(path: Path) -> tuple[Sequence[Label], Sequence[Annotation]]:
    """Return the classes, in the order of the document's ``categories``, and its annotations.

    Raises:
        InputError: If the file is missing, is no such document, or contradicts itself.
    """
    data = read_bytes(path, InputError, limit=labels.MAX_BYTES, expected=EXPECTED, cure=CURE)
    document = foreign_json.decode(data, _Document, path, InputError, expected=EXPECTED, cure=CURE)
    _refuse_duplicates((image.id for image in document.images), "image id", path)
    _refuse_duplicates((record.image_id for record in document.annotations), "annotation of image", path)
    _refuse_duplicates((category.name for category in document.categories), "category name", path)
    _refuse_duplicates((category.id for category in document.categories), "category id", path)
    if not document.annotations:
        raise InputError(f"{path} has no annotations, at least one is needed: {CURE}")
    names = {image.id: image.file_name for image in document.images}
    classes = {category.id: index for index, category in enumerate(document.categories)}
    return labels.parse(data, str(path)), [_convert(each, names, classes, path) for each in document.annotations]


def _convert(record: _Annotation, names: Mapping[_Id, str], classes: Mapping[_Id, int], path: Path) -> Annotation:
    """Return an annotation, given the images' names and the classes by their ids. ``path`` is for messages."""
    if record.image_id not in names:
        raise InputError(
            f"{path} annotates the image {brief(record.image_id)}, which is none of the {len(names)} that it lists: "
            f"{CURE}"
        )
    what = f"segment id of {brief(record.file_name)}"
    _refuse_duplicates((segment.id for segment in record.segments_info), what, path)
    segments = [_convert_segment(segment, classes, what, path) for segment in record.segments_info]
    return Annotation(names[record.image_id], record.file_name, segments)


def _convert_segment(segment: _Segment, classes: Mapping[_Id, int], what: str, path: Path) -> TrueSegment:
    if not 0 < segment.id <= coco_format.MAX_ID or segment.id != int(segment.id):
        raise InputError(
            f"{path} has the {what} {brief(segment.id)}, expected a whole number from 1 to {coco_format.MAX_ID}; "
            "0 is void"
        )
    if segment.category_id not in classes:
        raise InputError(
            f"{path} gives the {what} {brief(segment.id)} the category {brief(segment.category_id)}, which is none of "
            f"the {len(classes)} that it lists: {CURE}"
        )
    return TrueSegment(int(segment.id), classes[segment.category_id], bool(segment.iscrowd))


def _refuse_duplicates(values: Iterable[_Id], what: str, path: Path) -> None:
    seen: set[_Id] = set()
    for value in values:
        if value in seen:
            raise InputError(f"{path} has the {what} {brief(value)} twice, expected once")
        seen.add(value)
