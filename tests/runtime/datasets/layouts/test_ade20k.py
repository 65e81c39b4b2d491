"""ADE20K is read as it is downloaded, with instances of its own or made of regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.datasets.relabeling import Relabeled
from tests.runtime.datasets.layouts.folders import SIZE, picture, refused, save, truth

WALL, BED, FLAG = 1, 8, 150
NAMES = [label.name for label in labels.load("ade20k")]


def write(folder: Path, values: list[int], instances: list[tuple[int, int]] | None = None) -> Path:
    """Write one picture whose maps have the ``values``, and red and green of ``instances``, in columns."""
    picture(folder / "images/training/ADE_train_1.jpg")
    save(folder / "annotations/training/ADE_train_1.png", np.tile(np.array(values, np.uint8), (SIZE[0], 1)))
    if instances is not None:
        pixels = np.array([(*pair, 0) for pair in instances], np.uint8)
        save(folder / "annotations_instance/training/ADE_train_1.png", np.tile(pixels, (SIZE[0], 1, 1)))
    return folder


def opened(folder: Path) -> Dataset:
    return DatasetLocation(f"ade20k:{folder}", split="train").open()


def found(dataset: Dataset) -> list[tuple[str, int]]:
    return [(NAMES[index], pixels) for index, pixels, _ in truth(dataset[0]).values()]


def test_things_are_regions_where_there_are_no_instances(tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, [WALL, BED, 0, BED, FLAG, WALL]))
    assert found(dataset) == [("wall", 8), ("bed", 4), ("bed", 4), ("flag", 4)]
    assert any("annotations_instance/training would tell instances apart" in note for note in notes_of(dataset))


def test_instances_lie_over_stuff_and_things_without_one_are_void(tmp_path: Path) -> None:
    instances = [(0, 0), (1, 1), (1, 2), (100, 3), (1, 2), (0, 0)]
    dataset = opened(write(tmp_path, [WALL, BED, BED, WALL, 0, BED], instances))
    assert found(dataset) == [("bed", 4), ("bed", 8), ("flag", 4), ("wall", 4)]
    assert (dataset[0].panoptic[:, 5] == 0).all()


def test_an_artifact_finds_its_classes_by_their_first_synonyms(tmp_path: Path) -> None:
    named = [replace(label, name=f"{label.name}, other") for label in labels.load("ade20k")]
    assert Relabeled(opened(write(tmp_path, [FLAG] * 6)), named[::-1])[0].segments[0].category_id == 0


def test_what_it_refuses(tmp_path: Path) -> None:
    refused(lambda: opened(tmp_path), "has no images/training with annotations/training: unpack ADEChallengeData2016")
    refused(lambda: opened(write(tmp_path, [151] * 6))[0], r"has the value 151, .* of ADE20K \(0 to 150")
    write(tmp_path, [WALL] * 6, [(101, 1)] * 6)
    refused(lambda: opened(tmp_path)[0], "has an instance of class 101, expected 1 to 100")
    save(tmp_path / "annotations_instance/training/ADE_train_1.png", np.zeros(SIZE, np.uint8))
    refused(
        lambda: opened(tmp_path)[0], "annotations_instance.* has no colors, expected a map of instances, an RGB PNG"
    )
    (tmp_path / "annotations_instance/training/ADE_train_1.png").unlink()
    refused(lambda: opened(tmp_path)[0], "annotations_instance.*does not exist")
