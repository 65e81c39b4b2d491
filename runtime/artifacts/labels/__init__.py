"""The classes that a model predicts, read from ``categories`` in COCO's format."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.reading import read_bytes, reading
from pem_edge.runtime.suggestions import did_you_mean

THINGS_OF = {"cityscapes_instance": "cityscapes", "coco_instance": "coco_panoptic", "ade20k_instance": "ade20k"}
"""Label sets of instance segmentation, and those whose things they are, in the same order."""

BUNDLED = ("cityscapes", "coco_panoptic", "ade20k", "mapillary_vistas", *THINGS_OF)
"""Names of the label sets that come with the package."""

BY_COUNT = {19: "cityscapes", 65: "mapillary_vistas", 80: "coco_instance", 133: "coco_panoptic", 150: "ade20k"}
"""The label sets that a number of classes stands for. People's own models have 8 or 100 classes, too."""

MAX_BYTES = 2_000_000_000
"""Limit on annotations, which also have categories; COCO's own for training have a fifth of this."""
_EXPECTED = 'a list of COCO categories, such as [{"name": "road", "isthing": 0}, …]'
_Brightness = Annotated[int, msgspec.Meta(ge=0, le=255)]


class Label(msgspec.Struct, frozen=True):
    """A class.

    Attributes:
        id: The index of the class in the model's outputs, 0 to K-1.
        name: The name.
        isthing: Whether it is a thing, whose instances are separate segments, or stuff.
        color: The RGB color for drawing, 0 to 255.
    """

    id: int
    name: str
    isthing: bool
    color: tuple[int, int, int]


class _Category(msgspec.Struct):
    """A record of COCO's ``categories``. Its id is ignored: class indices follow the order of the records."""

    name: str
    isthing: bool | int | float
    color: tuple[_Brightness, _Brightness, _Brightness] | None = None


class _CocoCategory(msgspec.Struct):
    """A record of COCO's own categories."""

    id: int
    name: str
    isthing: int


class _Document(msgspec.Struct):
    """A document of COCO's, such as annotations."""

    categories: list[_Category]


def load(source: str) -> tuple[Label, ...]:
    """Return the labels of a bundled set or of a JSON file.

    Example:
        >>> from pem_edge.runtime import labels
        >>> classes = labels.load("cityscapes")
        >>> len(classes), classes[0].name, classes[0].isthing
        (19, 'road', False)

    Args:
        source: One of `BUNDLED`, or a file with COCO's ``categories``: the list itself, or an object with that key.

    Raises:
        InputError: If the file does not exist or has no valid categories.
    """
    if source in THINGS_OF:
        of_all = (label for label in load(THINGS_OF[source]) if label.isthing)
        return tuple(msgspec.structs.replace(label, id=index) for index, label in enumerate(of_all))
    if source in BUNDLED:
        return parse(resources.files(__name__).joinpath(f"{source}.json").read_bytes(), source)
    path = Path(source)
    cure = f"name one of {', '.join(BUNDLED)}, or a JSON file of COCO categories"
    with reading(source, InputError, expected="labels", cure=cure):
        if not path.is_file():
            raise InputError(f"no labels called {source!r}{did_you_mean(source, BUNDLED) or f': {cure}'}")
    return parse(read_bytes(path, InputError, limit=MAX_BYTES, expected="labels", cure=cure), source)


def default(num_classes: int) -> tuple[Label, ...]:
    """Return the bundled set with ``num_classes`` classes, or things named "class 0", "class 1", and so on."""
    if num_classes in BY_COUNT:
        return load(BY_COUNT[num_classes])
    return tuple(Label(i, f"class {i}", True, distinct_color(i)) for i in range(num_classes))


def things(labels: Sequence[Label]) -> frozenset[int]:
    """Return the ids of the classes that are things."""
    return frozenset(label.id for label in labels if label.isthing)


def official_ids(labels: Sequence[Label]) -> tuple[int, ...]:
    """Return the dataset's own id of each class if their names are COCO's, whose ids have gaps; else their indices."""
    names = tuple(label.name for label in labels)
    return next((ids for known, ids in _cocos_ids() if known == names), tuple(range(len(labels))))


@lru_cache(maxsize=1)
def _cocos_ids() -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Return names and ids of COCO's classes for panoptic segmentation, and of its things alone."""
    data = resources.files(__name__).joinpath("coco_panoptic.json").read_bytes()
    records = msgspec.json.decode(data, type=list[_CocoCategory])
    kinds = records, [record for record in records if record.isthing]
    return [(tuple(record.name for record in kind), tuple(record.id for record in kind)) for kind in kinds]


def plain_name(name: str) -> str:
    """Return the first of the synonyms in ``name``, in lower case and without marks: sets differ in these."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"[,;]", name.lower())[0]) or name  # whole if it has no Latin letters


def distinct_color(index: int) -> tuple[int, int, int]:
    """Return an RGB color, 0 to 255, for class ``index``, unlike those of the classes before and after it.

    Hues differ by the golden angle, and brightness takes three values in turn.
    """
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618033988749895 % 1.0, 0.75, (1.0, 0.8, 0.6)[index % 3])
    return round(255 * red), round(255 * green), round(255 * blue)


def parse(data: bytes, source: str) -> tuple[Label, ...]:
    """Return the labels in a JSON document.

    Args:
        data: A list of COCO's ``categories``, or an object with that key.
        source: A name for it in messages.

    Raises:
        InputError: If it is not such a document or has no categories.
    """
    document: list[_Category] | _Document = foreign_json.decode(
        data,
        list[_Category] | _Document,
        source,
        InputError,
        expected=_EXPECTED,
        cure="correct it or name another file",
    )
    if isinstance(document, _Document):
        document = document.categories
    if not document:
        raise InputError(f"{source} lists no categories, at least one is needed")
    return tuple(
        Label(index, record.name, bool(record.isthing), record.color or distinct_color(index))
        for index, record in enumerate(document)
    )
