"""ADE20K of the scene parsing benchmark, ADEChallengeData2016, as it is downloaded (http://sceneparsing.csail.mit.edu).

Instances are those of https://github.com/CSAILVision/placeschallenge (instancesegmentation), in whose maps red is one
of 100 classes and green the instance. They are pasted over stuff as Mask2Former does it for training
(https://github.com/facebookresearch/Mask2Former, datasets/prepare_ade20k_pan_seg.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets import map_files
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.layouts.labeled_images import Kind, LabeledImages, Truth, to_segments
from pem_edge.runtime.datasets.layouts.pairing import pair
from pem_edge.runtime.datasets.layouts.semantic.class_table import ClassTable
from pem_edge.runtime.datasets.layouts.semantic.truth import SemanticTruth, note
from pem_edge.runtime.datasets.layouts.source import Source, subfolders
from pem_edge.runtime.datasets.map_files import COLORS, Map, MapKind
from pem_edge.runtime.errors import InputError

_LABELS = labels.load("ade20k")
_THINGS = [label.id for label in _LABELS if label.isthing]
_TABLE = ClassTable("ADE20K", ("void", *(label.name for label in _LABELS)), ())
_INSTANCES = MapKind("a map of instances, an RGB PNG of 8 bits", "give the map as downloaded")
_STUFF = 1 << 16
"""What is added to the class of stuff, so that it differs from the 256 times class and instance of things."""


def recognizes(folder: Path) -> bool:
    """Return whether a folder looks like ADE20K."""
    return bool(subfolders(folder / "annotations") & subfolders(folder / "images") & {"training", "validation"})


def open_dataset(source: Source) -> Dataset:
    """Open images/{training,validation} with annotations and, if they are there, annotations_instance.

    The names of the 150 classes are those of public weights. objectInfo150.txt has other synonyms for some, by which an
    artifact's classes would not be found.

    Raises:
        InputError: If folders or files are missing.
    """
    splits = subfolders(source.folder / "images") & subfolders(source.folder / "annotations")
    if not splits:
        raise InputError(
            f"{source.folder} has no images/training with annotations/training: unpack ADEChallengeData2016.zip, and "
            "give the folder of that name"
        )
    split = source.choose(splits)
    pairs = pair(source.folder / "images" / split, source.folder / "annotations" / split)
    instances = source.folder / "annotations_instance" / split
    reader = SemanticTruth(_TABLE, frozenset(_THINGS))
    if not instances.is_dir():
        return LabeledImages(_LABELS, pairs, reader, [note(_LABELS), f"{instances} would tell instances apart"])
    return LabeledImages(_LABELS, pairs, _PanopticReader(reader, pairs.maps, instances))


@dataclass(frozen=True)
class _PanopticReader:
    """A reader of semantic maps in one folder, and of instances in another, by the same names."""

    semantic: SemanticTruth
    maps: Path
    instances: Path

    def __call__(self, path: Path, size: tuple[int, int]) -> Truth:
        """Return the truth of a map, see `TruthReader`. Things are where the instances are, stuff around them."""
        classes, things = self.semantic.classes(path, size), self.instances / path.relative_to(self.maps)
        values = map_files.read(things, size, _INSTANCES, partial(_values, path=things))
        is_stuff = np.isin(classes, [label.id for label in _LABELS if not label.isthing])
        merged = np.where(values & 255, values, np.where(is_stuff, classes + _STUFF, 0))

        def classify(value: int) -> Kind:
            if value >= _STUFF:
                return value - _STUFF, False
            if value and not 0 < value >> 8 <= len(_THINGS):
                raise InputError(
                    f"{things} has an instance of class {value >> 8}, expected 1 to {len(_THINGS)}: "
                    f"{_INSTANCES.shallow}"
                )
            return (_THINGS[(value >> 8) - 1], False) if value else None

        return to_segments(merged, classify)


def _values(image: Image.Image, _depth: int, path: Path) -> Map:
    """Return 256 times the class and the instance of each pixel."""
    if image.mode not in COLORS:
        raise InputError(f"{path} has no colors, expected {_INSTANCES.expected}: {_INSTANCES.shallow}")
    pixels = np.asarray(image).astype(np.int32)
    return pixels[..., 0] << 8 | pixels[..., 1]
