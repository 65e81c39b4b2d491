"""Labeled images in COCO's panoptic format (https://cocodataset.org/#format-data), read from disk when asked for."""

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
_LARGEST = (1 << 24) - 1


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
    """The annotated images of a JSON file, in its order.

    Classes are numbered in the order of ``categories``, whatever their ids. Pictures are looked for by their name under
    ``image_folder``, in folders below it too, maps in ``panoptic_folder``. Raises InputError if the JSON is missing,
    invalid or contradicts itself, or names a file that is missing; reading a sample raises it if a picture is damaged,
    not of its map's size, or the map has an id that no segment has. A segment may have no pixels.
    """

    def __init__(self, annotations: Path, image_folder: Path, panoptic_folder: Path) -> None:
        document = _read(annotations)
        self._annotations = annotations
        self.labels: Sequence[Label] = labels.load(str(annotations))
        classes = _numbered(document.categories, annotations)
        self._segments = [_segments(record, classes, annotations) for record in document.annotations]
        self._maps = [_map(panoptic_folder, record.file_name, annotations) for record in document.annotations]
        self._pictures = _pictures(document, image_folder, annotations)

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, index: int) -> Sample:
        picture, path, segments = self._pictures[index], self._maps[index], self._segments[index]
        image, panoptic = images.read(picture), coco_format.decode(images.read(path))
        if image.shape[:2] != panoptic.shape:
            raise InputError(
                f"{picture} is {_size(image)} and its map {path} {_size(panoptic)}: expected the same height x width"
            )
        unlisted = sorted(_ids_in(panoptic) - {segment.id for segment in segments} - {0})
        if unlisted:
            red, green, blue = coco_format.encode(np.array(unlisted[:1]))[0].tolist()
            raise InputError(
                f"{path} has the color ({red}, {green}, {blue}), id {unlisted[0]}, which is none of its "
                f"{len(segments)} segments in {self._annotations}: list it there, or make it black, which is void"
            )
        return Sample(str(picture), image, panoptic, segments)


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


def _numbered(categories: Sequence[_Category], path: Path) -> dict[_Id, int]:
    """Return the class index of each category's id."""
    _refuse_duplicates((category.id for category in categories), "category id", path)
    return {category.id: index for index, category in enumerate(categories)}


def _segments(record: _Annotation, classes: Mapping[_Id, int], path: Path) -> list[TrueSegment]:
    where = f"segment id of {record.file_name}"
    _refuse_duplicates((segment.id for segment in record.segments_info), where, path)
    for segment in record.segments_info:
        if not 0 < segment.id <= _LARGEST:
            raise InputError(f"{path} has {where} {segment.id}, expected 1 to {_LARGEST}; 0 is void")
        if segment.category_id not in classes:
            raise InputError(
                f"{path} has category {segment.category_id!r} in {record.file_name}, which is none of its "
                f"{len(classes)} categories"
            )
    return [TrueSegment(s.id, classes[s.category_id], bool(s.iscrowd)) for s in record.segments_info]


def _map(folder: Path, name: str, annotations: Path) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(f"{annotations} names the map {name}, which is not in {folder}")
    return path


def _pictures(document: _Document, folder: Path, annotations: Path) -> list[Path]:
    """Return the picture of each annotation."""
    names = {image.id: image.file_name for image in document.images}
    anywhere: dict[str, Path] | None = None
    found = []
    for record in document.annotations:
        if record.image_id not in names:
            raise InputError(f"{annotations} annotates image {record.image_id!r}, which is none of its {len(names)}")
        path = folder / names[record.image_id]
        if not path.is_file():
            anywhere = {each.name: each for each in folder.rglob("*")} if anywhere is None else anywhere
            path = _elsewhere(names[record.image_id], anywhere, folder, annotations)
        found.append(path)
    return found


def _elsewhere(name: str, anywhere: Mapping[str, Path], folder: Path, annotations: Path) -> Path:
    """Return a picture in some folder below, also by the name it has in Cityscapes, whose converter writes another.

    https://github.com/mcordts/cityscapesScripts, createPanopticImgs.py: x_gtFine_leftImg8bit.png for x_leftImg8bit.png.
    """
    for candidate in (Path(name).name, Path(name).name.replace("_gtFine_leftImg8bit", "_leftImg8bit")):
        if candidate in anywhere:
            return anywhere[candidate]
    raise InputError(f"{annotations} names the picture {name}, which is not in {folder}")


def _refuse_duplicates(values: Iterable[_Id], what: str, path: Path) -> None:
    seen: set[_Id] = set()
    for value in values:
        if value in seen:
            raise InputError(f"{path} has the {what} {value!r} twice, expected once")
        seen.add(value)


def _ids_in(panoptic: NDArray[np.int32]) -> set[int]:
    """Return the ids of a map; where one run of equal ids ends and the next begins is found first, as runs are long."""
    flat = panoptic.ravel()
    return set(flat[np.flatnonzero(np.diff(flat, prepend=flat[:1] - 1))].tolist())


def _size(image: NDArray[np.uint8] | NDArray[np.int32]) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
