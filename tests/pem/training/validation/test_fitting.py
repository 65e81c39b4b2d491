"""Images for validation have the classes that are trained, and those that are trained on are told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pem_edge.pem.training.validation.fitting import require_val_fits, warnings_of_shared
from pem_edge.pem.training.validation.splitting import split_dataset
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import TrainingError
from tests.helpers.boxes import LABELS, Boxes
from tests.runtime.helpers import coco_folder


@dataclass
class Folders:
    """Two folders of three images each."""

    train: Path
    val: Path

    def warnings(self) -> list[str]:
        return warnings_of_shared(open_dataset(str(self.train)), open_dataset(str(self.val)))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    train, val = coco_folder.write(tmp_path / "train", 3), coco_folder.write(tmp_path / "val", 3)
    for number, path in enumerate(sorted((val / "images").iterdir())):
        coco_folder.save(path, coco_folder.stripes(40 + number)[0])
    return Folders(train, val)


def test_classes_in_another_order_are_renumbered(folders: Folders) -> None:
    def turn(document: dict[str, Any]) -> None:
        document["categories"].reverse()

    train = open_dataset(str(folders.train))
    val = require_val_fits(train, open_dataset(str(coco_folder.write(folders.val, 3, turn))))
    assert val.labels == train.labels
    first, second = ([[each.category_id for each in dataset[i].segments] for i in range(3)] for dataset in (train, val))
    assert first == second


def test_other_classes_are_refused_with_what_helps(folders: Folders) -> None:
    def rename(document: dict[str, Any]) -> None:
        document["categories"][0]["name"] = "snow"

    def stuff(document: dict[str, Any]) -> None:
        document["categories"][1]["isthing"] = 0

    train = open_dataset(str(folders.train))
    for edit, message in (
        (rename, "only the images for validation has 'snow'; only those to train on has 'white'; give --val"),
        (stuff, "'red' is stuff in the images for validation and a thing in those to train on: give --val"),
    ):
        val = open_dataset(str(coco_folder.write(folders.val, 3, edit)))
        with pytest.raises(TrainingError, match=message):
            require_val_fits(train, val)
    require_val_fits(train, val, kinds=False)
    with pytest.raises(TrainingError, match="there are no images for validation"):
        require_val_fits(train, Boxes(0))


def test_files_that_are_in_both_are_told_by_name_and_by_content(folders: Folders) -> None:
    assert folders.warnings() == []
    shutil.copy(folders.train / "images" / "1.png", folders.val / "images" / "2.png")
    (warning,) = folders.warnings()
    assert warning.startswith("of 3 images for validation, 1 are trained on, too, such as '2.png'")
    folders.val = folders.train
    assert folders.warnings()[0].startswith("of 3 images for validation, 3 are")


def test_a_split_shares_nothing(folders: Folders) -> None:
    assert warnings_of_shared(*split_dataset(open_dataset(str(folders.train)), 0.4, 0)) == []


def test_copies_under_other_names_that_a_split_divides_are_told(folders: Folders) -> None:
    for number in (1, 2):
        shutil.copy(folders.train / "images" / "0.png", folders.train / "images" / f"{number}.png")
    (warning,) = warnings_of_shared(*split_dataset(open_dataset(str(folders.train)), 0.4, 0))
    assert warning.startswith("of 1 image for validation, 1 are trained on, too")


def test_datasets_without_files_are_compared_by_their_first_image() -> None:
    (warning,) = warnings_of_shared(Boxes(9), Boxes(3))
    assert "the first image for validation is the first to train on" in warning
    assert warnings_of_shared(open_dataset("toy:2:64x64"), open_dataset("toy:2:64x64:1")) == []
    assert require_val_fits(Boxes(9), Boxes(3, LABELS[::-1])).labels == LABELS
