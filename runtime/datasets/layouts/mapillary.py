"""Mapillary Vistas, v1.2 and v2.0, as it is downloaded (https://www.mapillary.com/dataset/vistas)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.layouts import instance_maps
from pem_edge.runtime.datasets.layouts.labeled_images import Kind, LabeledImages, Truth, to_segments
from pem_edge.runtime.datasets.layouts.pairing import pair
from pem_edge.runtime.datasets.layouts.source import Source
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.reading import read_bytes

V1, V2 = "v1.2", "v2.0"
_CONFIGS = {V1: ("config_v1.2.json", "config.json"), V2: ("config_v2.0.json",)}
_PANOPTIC = {V1: "panoptic_2018.json", V2: "panoptic_2020.json"}
_SPLITS = ("training", "validation")
_INSTANCES, _MAX_BYTES = 256, 10_000_000
_EXPECTED, _CURE = "the classes of Mapillary Vistas", "download it again"


class _Class(msgspec.Struct):
    name: str
    readable: str
    instances: bool
    evaluate: bool
    color: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=255)]], msgspec.Meta(min_length=3, max_length=3)]


class _Config(msgspec.Struct):
    labels: Annotated[list[_Class], msgspec.Meta(min_length=1)]


def recognizes(folder: Path) -> bool:
    """Return whether a folder looks like Mapillary Vistas."""
    return any(_maps(folder, split, version) for split in _SPLITS for version in _CONFIGS)


def open_dataset(source: Source, versions: Sequence[str] = (V1, V2)) -> Dataset:
    """Open {training,validation}/images with the instances of the first of ``versions`` that is there.

    The instances lie in {training,validation}/VERSION or, those of v1.2, without that folder. Where there are none, the
    panoptic maps are read.

    Raises:
        InputError: If folders or files are missing, or the classes cannot be read.
    """
    for version in versions:
        if found := {split: maps for split in _SPLITS if (maps := _maps(source.folder, split, version))}:
            split = source.choose(found)
            return _open(source.folder, source.folder / split / "images", found[split], version)
    raise InputError(
        f"{source.folder} has no training or validation with instances of {' or '.join(versions)}: unpack Mapillary "
        "Vistas there"
    )


def open_v2(source: Source) -> Dataset:
    """Open v2.0 alone, of a download that has both versions."""
    return open_dataset(source, (V2,))


def _maps(folder: Path, split: str, version: str) -> Path | None:
    """Return the folder of a split's maps, those of instances if they are there."""
    places = [folder / split / version] + ([folder / split] if version == V1 else [])
    found = (place / kind for kind in ("instances", "panoptic") for place in places)
    return next((maps for maps in found if maps.is_dir()), None)


def _open(folder: Path, pictures: Path, maps: Path, version: str) -> Dataset:
    if maps.name == "panoptic":
        return CocoPanoptic(maps / _PANOPTIC[version], pictures, maps)
    path = next((path for name in _CONFIGS[version] if (path := folder / name).exists()), None)
    if path is None:
        raise InputError(f"{folder} has no {' or '.join(_CONFIGS[version])}: copy it from the download")
    data = read_bytes(path, InputError, limit=_MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    classes = foreign_json.decode(data, _Config, path, InputError, expected=_EXPECTED, cure=_CURE).labels
    if len({each.name for each in classes}) < len(classes):
        raise InputError(f"{path} has the name of a class twice, expected once: {_CURE}")
    evaluated = [value for value, each in enumerate(classes) if each.evaluate]
    if not evaluated:
        raise InputError(f"{path} has no class with evaluate: {_CURE}")
    reader = _InstanceReader(len(classes), {value: index for index, value in enumerate(evaluated)})
    return LabeledImages(_labels([classes[value] for value in evaluated]), pair(pictures, maps), reader)


@dataclass(frozen=True)
class _InstanceReader:
    """A reader of maps whose values are 256 times the label, and an instance.

    Attributes:
        count: The number of labels.
        indices: The class of each label; those that are not evaluated have none.
    """

    count: int
    indices: Mapping[int, int]

    def __call__(self, path: Path, size: tuple[int, int]) -> Truth:
        """Return the truth of a map, see `TruthReader`."""

        def classify(value: int) -> Kind:
            label = value // _INSTANCES
            if label >= self.count:
                raise InputError(
                    f"{path} has the value {value}, label {label}, expected {_INSTANCES} times a label below "
                    f"{self.count}, and an instance: give the maps of the same version as the classes"
                )
            return (self.indices[label], False) if label in self.indices else None

        return to_segments(instance_maps.read(path, size), classify)


def _labels(classes: Sequence[_Class]) -> tuple[Label, ...]:
    """Return the classes by the names for readers, but for those that several classes have."""
    counts = Counter(each.readable for each in classes)
    return tuple(
        Label(
            index,
            each.readable if counts[each.readable] == 1 else each.name,
            each.instances,
            (each.color[0], each.color[1], each.color[2]),
        )
        for index, each in enumerate(classes)
    )
