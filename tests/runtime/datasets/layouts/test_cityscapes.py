"""Cityscapes is read as it is downloaded: ids are classes, groups are crowds, and what is not trained is void."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.datasets.relabeling import Relabeled
from tests.runtime.datasets.layouts.folders import SIZE, picture, refused, save, truth

NAME = "ulm/ulm_000000_000019"


def write(folder: Path, values: list[int], split: str = "val") -> Path:
    """Write one picture whose map has the ``values`` in columns."""
    picture(folder / "leftImg8bit" / split / f"{NAME}_leftImg8bit.png")
    for kind in ("instanceIds", "labelIds", "color"):
        path = folder / "gtFine" / split / f"{NAME}_gtFine_{kind}.png"
        save(path, np.tile(np.array(values, np.uint16), (SIZE[0], 1)))
    return folder


def opened(folder: Path) -> Dataset:
    return open_dataset(f"cityscapes:{folder}")


def test_values_are_classes_and_instances(tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, [7, 26, 26001, 26002, 4, 29003]))
    names = [label.name for label in dataset.labels]
    found = [(names[index], pixels, crowd) for index, pixels, crowd in truth(dataset[0]).values()]
    assert found == [("road", 4, False), ("car", 4, True), ("car", 4, False), ("car", 4, False)]
    assert len(dataset) == 1
    assert dataset[0].name.endswith(f"{NAME}_leftImg8bit.png")
    assert (dataset[0].panoptic[:, 4:] == 0).all(), "static and caravans are not trained"


@pytest.mark.parametrize(("index", "value"), list(enumerate([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23])))
def test_stuff_has_the_ids_of_the_dataset(index: int, value: int, tmp_path: Path) -> None:
    assert list(truth(opened(write(tmp_path, [value] * 6))[0]).values()) == [(index, 24, False)]


@pytest.mark.parametrize(("index", "value"), list(enumerate([24, 25, 26, 27, 28, 31, 32, 33], 11)))
def test_things_have_the_ids_of_the_dataset(index: int, value: int, tmp_path: Path) -> None:
    segments = truth(opened(write(tmp_path, [value, value * 1000 + 5] * 3))[0])
    assert list(segments.values()) == [(index, 12, True), (index, 12, False)]


def test_an_artifact_finds_its_classes_in_another_order(tmp_path: Path) -> None:
    backwards = labels.load("cityscapes")[::-1]
    sample = Relabeled(opened(write(tmp_path, [26001] * 6)), backwards)[0]
    assert [backwards[segment.category_id].name for segment in sample.segments] == ["car"]


def test_what_it_refuses(tmp_path: Path) -> None:
    refused(lambda: opened(tmp_path), "no leftImg8bit/SPLIT with gtFine/SPLIT: unpack leftImg8bit_trainvaltest.zip")
    refused(
        lambda: opened(write(tmp_path, [34] * 6))[0], "instanceIds.png has the value 34, expected label ids up to 33"
    )
    refused(lambda: opened(write(tmp_path, [34001] * 6))[0], "has the value 34001")
    save(tmp_path / f"gtFine/val/{NAME}_gtFine_instanceIds.png", np.zeros((*SIZE, 3), np.uint8))
    refused(lambda: opened(tmp_path)[0], "has colors, expected a map of instances")
    (tmp_path / f"gtFine/val/{NAME}_gtFine_instanceIds.png").unlink()
    refused(lambda: opened(tmp_path), r"gtFine/val has no \*_gtFine_instanceIds.png: download or unpack")


def test_splits_are_chosen(tmp_path: Path) -> None:
    write(write(tmp_path, [7] * 6, "train"), [8] * 6)
    refused(lambda: opened(tmp_path), f"has the splits train, val: choose one with --split train, or as .*{tmp_path}:")
    assert open_dataset(f"cityscapes:{tmp_path}:val")[0].segments[0].category_id == 1
