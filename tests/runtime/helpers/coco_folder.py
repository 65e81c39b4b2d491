"""A small folder in COCO's panoptic format, to read as it is or to spoil."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.results import coco_format

CATEGORIES = [
    {"id": 7, "name": "white", "isthing": 0, "color": [255, 255, 255]},
    {"id": 40, "name": "red", "isthing": 1, "color": [255, 0, 0]},
    {"id": 3, "name": "green", "isthing": 1},
    {"id": 9, "name": "blue", "isthing": 0},
    {"id": 1000, "name": "black", "isthing": 0},
]
"""The classes of the tiny model in another order and with other ids."""


def stripes(shift: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return a picture, 64x96, of red, white and blue, and its map: ids 70000, 300 and 5, and void between them."""
    image, panoptic = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.int32)
    image[:, :32], image[:, 32:64], image[:, 64:] = (255, 0, 0), (255, 255, 255), (0, 0, 255)
    panoptic[:, 3:29], panoptic[:, 35:56], panoptic[:, 67:93] = 70000, 300, 5
    return np.roll(image, shift, axis=1), np.roll(panoptic, shift, axis=1)


def segments() -> list[dict[str, Any]]:
    return [
        {"id": 70000, "category_id": 40, "iscrowd": 0, "area": 1664},
        {"id": 300, "category_id": 7},
        {"id": 5, "category_id": 9, "iscrowd": 1},
    ]


def write(folder: Path, count: int = 2, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """Write ``count`` striped pictures and their truth; ``edit`` may change the JSON document. Returns the folder."""
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": deepcopy(CATEGORIES)}
    for i in range(count):
        image, panoptic = stripes(8 * i)
        save(folder / "images" / f"{i}.png", image)
        save(folder / "panoptic" / f"{i}.png", coco_format.encode(panoptic))
        document["images"].append({"id": i, "file_name": f"{i}.png", "height": 64, "width": 96})
        document["annotations"].append({"image_id": i, "file_name": f"{i}.png", "segments_info": segments()})
    edit(document)
    (folder / "panoptic.json").write_text(json.dumps(document))
    return folder


def save(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
