"""COCO's panoptic annotations as they are downloaded (https://cocodataset.org/#download)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.layouts.source import Source
from pem_edge.runtime.errors import InputError

_JSON = re.compile(r"panoptic_(\w+?)(\d*)\.json")


def recognizes(folder: Path) -> bool:
    """Return whether a folder looks like COCO."""
    return any(_splits(folder))


def open_dataset(source: Source) -> Dataset:
    """Open annotations/panoptic_{train,val}2017.json with {train,val}2017 and the folder of PNGs.

    Images may lie in images/, and the PNGs beside the JSON or one folder higher, as in Mask2Former.

    Raises:
        InputError: If folders or files are missing, or the annotations are damaged.
    """
    splits = dict(_splits(source.folder))
    if not splits:
        raise InputError(
            f"{source.folder} has no annotations/panoptic_val2017.json: unpack panoptic_annotations_trainval2017.zip "
            "there"
        )
    annotations = splits[source.choose(splits)]
    name = annotations.stem
    pictures = _first(source.folder, f"images/{name.removeprefix('panoptic_')}", name.removeprefix("panoptic_"))
    return CocoPanoptic(annotations, pictures, _first(source.folder, name, f"annotations/{name}"))


def _splits(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the annotations of each split: "val" for panoptic_val2017.json."""
    for path in sorted((folder / "annotations").glob("panoptic_*.json")):
        if match := _JSON.fullmatch(path.name):
            yield match[1], path


def _first(folder: Path, *names: str) -> Path:
    """Return the first of the folders that is there, the last if none is."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder / names[-1])
