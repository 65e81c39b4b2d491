"""COCO's panoptic annotations are read as they are downloaded, wherever their PNGs were unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pem_edge.runtime.datasets.opening import DatasetLocation, open_dataset
from tests.runtime.datasets.layouts.folders import refused
from tests.runtime.helpers import coco_folder


def write(folder: Path, split: str, pictures: str, maps: str) -> None:
    made = coco_folder.write(folder / "made")
    names = (("images", pictures), ("panoptic", maps), ("panoptic.json", f"annotations/panoptic_{split}2017.json"))
    for source, target in names:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (made / source).rename(folder / target)


@pytest.mark.parametrize("pictures", ["val2017", "images/val2017"])
@pytest.mark.parametrize("maps", ["annotations/panoptic_val2017", "panoptic_val2017"])
def test_the_usual_places(pictures: str, maps: str, tmp_path: Path) -> None:
    write(tmp_path, "val", pictures, maps)
    dataset = open_dataset(f"coco:{tmp_path}")
    assert len(dataset) == 2
    assert len(dataset[1].segments) == 3


def test_splits_are_chosen(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path, split, f"{split}2017", f"annotations/panoptic_{split}2017")
    refused(lambda: open_dataset(f"coco:{tmp_path}"), "has the splits train, val: choose one with --split train")
    dataset = DatasetLocation(f"coco:{tmp_path}", split="validation").open()
    assert dataset[0].name == str(tmp_path / "val2017/0.png")


def test_what_it_refuses(tmp_path: Path) -> None:
    refused(
        lambda: open_dataset(f"coco:{tmp_path}"), "no annotations/panoptic_val2017.json: unpack panoptic_annotations"
    )
    write(tmp_path, "val", "val2017", "annotations/panoptic_val2017")
    (tmp_path / "val2017").rename(tmp_path / "elsewhere")
    refused(lambda: open_dataset(f"coco:{tmp_path}"), r"cannot read .*/val2017: No such file or directory; name")
