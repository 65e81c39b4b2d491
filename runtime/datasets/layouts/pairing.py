"""Finding the map of each image by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime import images
from pem_edge.runtime.datasets.named_files import walk
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.plurals import plural


@dataclass(frozen=True)
class Pairs:
    """Images and their maps.

    Attributes:
        images: The folder of the images.
        maps: The folder of the maps.
        names: The paths of each image and of its map below these, in the order of the images' names.
        notes: What has no partner and is left out, a sentence each.
    """

    images: Path
    maps: Path
    names: Sequence[tuple[str, str]]
    notes: Sequence[str]


def pair(image_folder: Path, map_folder: Path, *, image_end: str = "", map_ends: Sequence[str] = ("",)) -> Pairs:
    """Pair the files of two folders, and of the folders below these.

    An image and its map lie in folders of the same names. Their names are the same without their suffixes, but for an
    end that images have and one of those that maps may have, such as ``_leftImg8bit`` and ``_gtFine_instanceIds``.

    Args:
        image_folder: The folder of the images.
        map_folder: The folder of the maps. If there are PNGs, only these are looked at.
        image_end: The end of the images' names; files without it are no images.
        map_ends: The ends that maps' names may have. A name that ends in none of them is no map's.

    Raises:
        InputError: If a folder cannot be read, no image has a map, or one has several.
    """
    pictures, maps = _files(image_folder), _files(map_folder)
    pngs = [name for name in maps if name.lower().endswith(".png")]
    stems = {_stem(name): name for name in pngs or maps if _stem(name).endswith(tuple(map_ends))}
    if not stems:
        raise InputError(f"{map_folder} has no {_pattern(map_ends)}: download or unpack the labels into it")
    names = {_stem(name): name for name in pictures if _stem(name).endswith(image_end)}
    _require_one_each(pictures, names, image_folder)
    partners = {name: _find(stem.removesuffix(image_end), stems, map_ends, map_folder) for stem, name in names.items()}
    pairs = [(name, partner) for name, partner in partners.items() if partner is not None]
    if not pairs:
        raise InputError(_no_pairs(image_folder, map_folder, names, _pattern(map_ends)))
    alone = [name for name, partner in partners.items() if partner is None]
    unused = sorted(set(stems.values()) - {partner for _, partner in pairs})
    notes = [*_left_out(alone, "image", "map", image_folder), *_left_out(unused, "map", "image", map_folder)]
    return Pairs(image_folder, map_folder, pairs, notes)


def _files(folder: Path) -> list[str]:
    """Return the paths of the image files below a folder, in order."""
    with reading(folder, InputError, expected="a folder of images", cure="give a folder that can be read"):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: download or unpack it")
        found = ("/".join(parts) for parts in walk(folder) if not parts[-1].startswith("."))
        return sorted(path for path in found if f".{path.rpartition('.')[2]}".lower() in images.SUFFIXES)


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _require_one_each(pictures: Sequence[str], names: dict[str, str], folder: Path) -> None:
    for name in pictures:
        if names.get(_stem(name), name) != name:
            raise InputError(
                f"{folder} has {brief(name)} and {brief(names[_stem(name)])}, expected one image for a map: remove or "
                "rename one of them"
            )


def _find(stem: str, maps: dict[str, str], ends: Sequence[str], folder: Path) -> str | None:
    """Return the map of the image called ``stem``; the one without an end goes first."""
    found = [maps[stem + end] for end in ends if stem + end in maps]
    if len(found) > 1 and found[0] != maps.get(stem):
        raise InputError(
            f"{folder} has {brief(found[0])} and {brief(found[1])} for one image, expected one map: remove one of them"
        )
    return found[0] if found else None


def _left_out(names: Sequence[str], kind: str, partner: str, folder: Path) -> list[str]:
    if not names:
        return []
    which = f"such as {brief(names[0])}" if names[1:] else brief(names[0])
    verb = "have" if names[1:] else "has"
    return [f"{plural(len(names), kind)} of {folder} {verb} no {partner}, {which}: left out"]


def _no_pairs(image_folder: Path, map_folder: Path, names: dict[str, str], expected: str) -> str:
    if not names:
        return f"{image_folder} has no images that maps could be for: download or unpack them"
    missing = f"has a map in {map_folder}: expected {expected} of the same name there"
    return f"none of the {len(names)} in {image_folder}, such as {brief(next(iter(names.values())))}, {missing}"


def _pattern(ends: Sequence[str]) -> str:
    return f"*{ends[0]}.png"
