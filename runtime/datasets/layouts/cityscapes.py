"""Cityscapes as it is downloaded (https://www.cityscapes-dataset.com).

Ids are those of cityscapesScripts' helpers/labels.py, and what is a crowd, of its preparation/createPanopticImgs.py
(https://github.com/mcordts/cityscapesScripts).
"""

from __future__ import annotations

from pathlib import Path

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.layouts import instance_maps
from pem_edge.runtime.datasets.layouts.labeled_images import Kind, LabeledImages, Truth, to_segments
from pem_edge.runtime.datasets.layouts.pairing import pair
from pem_edge.runtime.datasets.layouts.source import Source, subfolders
from pem_edge.runtime.errors import InputError

_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label ids of the 19 classes that are trained and evaluated, in their order; the others are void."""

_LARGEST_ID, _INSTANCES = 33, 1000
_LABELS = labels.load("cityscapes")


def recognizes(folder: Path) -> bool:
    """Return whether a folder looks like Cityscapes."""
    return {"leftImg8bit", "gtFine"} <= subfolders(folder)


def open_dataset(source: Source) -> Dataset:
    """Open leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_instanceIds.png.

    Raises:
        InputError: If folders or files are missing.
    """
    pictures, maps = source.folder / "leftImg8bit", source.folder / "gtFine"
    splits = subfolders(pictures) & subfolders(maps)
    if not splits:
        raise InputError(
            f"{source.folder} has no leftImg8bit/SPLIT with gtFine/SPLIT: unpack leftImg8bit_trainvaltest.zip and "
            "gtFine_trainvaltest.zip there"
        )
    split = source.choose(splits)
    pairs = pair(pictures / split, maps / split, image_end="_leftImg8bit", map_ends=("_gtFine_instanceIds",))
    return LabeledImages(_LABELS, pairs, _read_truth)


def _read_truth(path: Path, size: tuple[int, int]) -> Truth:
    def classify(value: int) -> Kind:
        label = value // _INSTANCES if value >= _INSTANCES else value
        if label > _LARGEST_ID:
            raise InputError(
                f"{path} has the value {value}, expected label ids up to {_LARGEST_ID}, or {_INSTANCES} times these "
                "and an instance: give *_gtFine_instanceIds.png as downloaded"
            )
        if label not in _IDS:
            return None
        index = _IDS.index(label)
        return index, value < _INSTANCES and _LABELS[index].isthing

    return to_segments(instance_maps.read(path, size), classify)
