"""Classes a model can predict: COCO's `categories` records, one a class, in the order of the model's outputs."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec

from pem_edge.runtime.errors import InputError

BUNDLED = {19: "cityscapes", 133: "coco_panoptic", 150: "ade20k"}
"""Label sets that come with the package, by number of classes."""


class Label(msgspec.Struct, frozen=True):
    """One class.

    ``id`` is the model's class index (0 to K-1), ``isthing`` whether its instances are counted apart,
    ``color`` RGB, 0 to 255.
    """

    id: int
    name: str
    isthing: bool
    color: tuple[int, int, int]


class _Category(msgspec.Struct):
    """A record of a COCO panoptic ``categories`` list; its id may be anything, the order counts."""

    name: str
    isthing: bool | int
    color: tuple[int, int, int] | None = None


def load(source: str) -> tuple[Label, ...]:
    """Return the labels of a bundled set or of a JSON file.

    Args:
        source: ``cityscapes``, ``coco_panoptic``, ``ade20k``, or a file with COCO's ``categories``: the list itself, or
            an object with that key.

    Raises:
        InputError: If the file cannot be read or holds something else.
    """
    if source in BUNDLED.values():
        return parse(resources.files(__name__).joinpath(f"{source}.json").read_bytes(), source)
    path = Path(source)
    if not path.is_file():
        known = ", ".join(BUNDLED.values())
        raise InputError(f"no labels called {source!r}: name one of {known}, or a JSON file of COCO categories")
    return parse(path.read_bytes(), source)


def default(num_classes: int) -> tuple[Label, ...]:
    """Return the bundled set with that many classes, else things named "class 0" to "class K-1"."""
    if num_classes in BUNDLED:
        return load(BUNDLED[num_classes])
    return tuple(Label(i, f"class {i}", True, distinct_color(i)) for i in range(num_classes))


def things(labels: Sequence[Label]) -> frozenset[int]:
    """Return the ids of the classes whose instances are counted apart."""
    return frozenset(label.id for label in labels if label.isthing)


def distinct_color(index: int) -> tuple[int, int, int]:
    """Return an RGB color for class ``index``, far from those of the classes before and after it.

    Hues are a golden angle apart, in three brightnesses.
    """
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618033988749895 % 1.0, 0.75, (1.0, 0.8, 0.6)[index % 3])
    return round(255 * red), round(255 * green), round(255 * blue)


def parse(data: bytes, source: str) -> tuple[Label, ...]:
    """Return the labels of a JSON document as `load` takes it; ``source`` names it in errors. Raises InputError."""
    try:
        document = msgspec.json.decode(data, type=list[_Category] | dict[str, msgspec.Raw])
        if isinstance(document, dict):
            document = msgspec.json.decode(document.get("categories", msgspec.Raw(b"null")), type=list[_Category])
    except msgspec.DecodeError as error:
        raise InputError(f"{source} is not a list of COCO categories (name, isthing, color): {error}") from error
    if not document:
        raise InputError(f"{source} lists no categories, at least one is needed")
    return tuple(
        Label(index, record.name, bool(record.isthing), record.color or distinct_color(index))
        for index, record in enumerate(document)
    )
