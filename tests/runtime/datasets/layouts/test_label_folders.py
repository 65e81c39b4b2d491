"""Folders of images and label maps are read in the layouts people have, and what does not fit is said in one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.opening import DatasetLocation, open_dataset
from tests.runtime.datasets.layouts.folders import SIZE, halves, picture, refused, save, truth


def write(folder: Path, pictures: str, maps: str, end: str = "", classes: str | None = "road\ncar\n") -> Path:
    """Write two pictures, halves of road and of car, in the given folders."""
    for name in ("a", "b"):
        picture(folder / pictures / f"{name}.jpg")
        save(folder / maps / f"{name}{end}.png", halves(0, 1))
    if classes is not None:
        (folder / "classes.txt").write_text(classes)
    return folder


def opened(folder: Path) -> Dataset:
    return open_dataset(f"labels:{folder}")


@pytest.mark.parametrize(
    ("pictures", "maps"),
    [
        ("val", "valannot"),
        ("val", "val_labels"),
        ("val", "val_masks"),
        ("images/val", "labels/val"),
        ("images/val", "annotations/val"),
        ("images/val", "masks/val"),
        ("val/images", "val/labels"),
        ("images", "labels"),
        ("images", "annotations"),
        ("images", "masks"),
        ("images/val/left", "labels/val/left"),
    ],
)
@pytest.mark.parametrize("end", ["", "_L", "_mask", "_labelIds"])
def test_the_usual_layouts(pictures: str, maps: str, end: str, tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, pictures, maps, end))
    assert [(label.name, label.isthing) for label in dataset.labels] == [("road", False), ("car", True)]
    assert [Path(dataset[index].name).name for index in range(len(dataset))] == ["a.jpg", "b.jpg"]
    assert truth(dataset[1]) == {1: (0, 12, False), 2: (1, 12, False)}


@pytest.mark.parametrize(
    ("pictures", "maps"), [("{}", "{}annot"), ("images/{}", "labels/{}"), ("{}/images", "{}/masks")]
)
def test_splits_have_the_names_of_folders(pictures: str, maps: str, tmp_path: Path) -> None:
    for split in ("train", "fog"):
        write(tmp_path, pictures.format(split), maps.format(split))
    refused(lambda: opened(tmp_path), "has the splits fog, train: choose one with --split fog, or as labels:.*:fog")
    assert "/fog" in open_dataset(f"labels:{tmp_path}:fog")[0].name
    assert "/train" in DatasetLocation(f"labels:{tmp_path}", split="training").open()[0].name
    refused(lambda: DatasetLocation(f"labels:{tmp_path}", split="val").open(), "there is no 'val'.*fog, train")


def test_a_folder_without_splits_takes_none(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    refused(
        lambda: open_dataset(f"labels:{tmp_path}:val"), "has no splits, only images and labels: leave out --split val"
    )


def test_classes_may_be_listed_one_folder_higher(tmp_path: Path) -> None:
    write(tmp_path / "set", "images", "labels", classes=None)
    refused(lambda: opened(tmp_path / "set"), "none of classes.txt, .*label_colors.txt, nor the folder above it: write")
    (tmp_path / "codes.txt").write_text("a\nb\n")
    assert [label.name for label in opened(tmp_path / "set").labels] == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("name,r,g,b\n,0,0,0\ncar,1,1,1\n", "the class 0 of the dataset is called '', expected a name of 1 to 200"),
        (f"{'x' * 201},0,0,0\ncar,1,1,1\n", "the class 0 of the dataset is called 'x"),
    ],
)
def test_each_class_has_a_name(rows: str, complaint: str, tmp_path: Path) -> None:
    write(tmp_path, "images", "labels", classes=None)
    (tmp_path / "class_dict.csv").write_text(rows)
    refused(lambda: opened(tmp_path), complaint)


def test_camvid_needs_no_list_of_classes(tmp_path: Path) -> None:
    write(tmp_path, "train", "trainannot", classes=None)
    save(tmp_path / "trainannot/a.png", halves(8, 11))
    dataset = open_dataset(f"camvid:{tmp_path}")
    assert [label.name for label in dataset.labels if label.isthing] == ["Car", "Pedestrian", "Bicyclist"]
    assert len(dataset.labels) == 11
    assert truth(dataset[0]) == {1: (8, 12, False)}, "11 is void"
    (tmp_path / "classes.txt").write_text("ground\nsky\n")
    assert [label.name for label in open_dataset(f"camvid:{tmp_path}").labels] == ["ground", "sky"]


def test_things_are_what_the_user_says(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels", classes="Road\nTraffic Cone\nvoid\n")

    def things(*names: str) -> list[bool]:
        return [label.isthing for label in DatasetLocation(f"labels:{tmp_path}", things=names).open().labels]

    assert [label.isthing for label in opened(tmp_path).labels] == [False, False]
    assert things("traffic cone", "ROAD") == [True, True]
    assert things() == [False, False]
    refused(lambda: things("cone"), "--things: there is no 'cone'")
    refused(lambda: things("void"), "--things: there is no 'void'")


def test_it_says_what_maps_do_not_tell(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    assert "each connected region of a thing (car) is taken for an instance" in " ".join(notes_of(opened(tmp_path)))
    stuff = DatasetLocation(f"labels:{tmp_path}", things=()).open()
    assert notes_of(stuff) == ("none of the classes is a thing: all are stuff, unless --things names some",)


def test_what_has_no_partner_is_left_out_and_noted(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    for name in ("c", "d"):
        picture(tmp_path / f"images/{name}.png")
    save(tmp_path / "labels/e.png", halves(0, 0))
    dataset = opened(tmp_path)
    assert len(dataset) == 2
    notes = notes_of(dataset)[1:]
    assert notes == (
        f"2 images of {tmp_path}/images have no map, such as 'c.png': left out",
        f"1 map of {tmp_path}/labels has no image, 'e.png': left out",
    )


def test_images_and_maps_that_do_not_pair(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels", end="_other")
    refused(lambda: opened(tmp_path), r"none of the 2 in .*images, such as 'a\.jpg', has a map in .*labels: expected")
    write(tmp_path, "images", "labels")
    picture(tmp_path / "images/a.png")
    refused(lambda: opened(tmp_path), r"has 'a\.jpg' and 'a\.png', expected one image for a map: remove")
    (tmp_path / "images/a.png").unlink()
    save(tmp_path / "labels/a_L.png", halves(0, 0))
    assert truth(opened(tmp_path)[0])[2], "the map of exactly its name goes first"
    save(tmp_path / "labels/a_mask.png", halves(0, 0))
    (tmp_path / "labels/a.png").unlink()
    refused(lambda: opened(tmp_path), r"has 'a_L\.png' and 'a_mask\.png' for one image, expected one map: remove")


def test_folders_that_are_empty_or_missing(tmp_path: Path) -> None:
    refused(lambda: opened(tmp_path / "nowhere"), "nowhere' names no folder that is there: give labels:DIR")
    refused(lambda: opened(tmp_path), "no folders of images and maps, expected train and trainannot")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    refused(lambda: opened(tmp_path), r"labels has no \*\.png: download or unpack the labels into it")
    save(tmp_path / "labels/a.png", halves(0, 1))
    refused(lambda: opened(tmp_path), "images has no images that maps could be for")


def test_links_in_circles_end(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    (tmp_path / "images/again").symlink_to(tmp_path / "images")
    (tmp_path / "labels/self.png").symlink_to("self.png")
    assert len(opened(tmp_path)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_must_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    (tmp_path / "labels").chmod(0)
    try:
        refused(lambda: opened(tmp_path), "cannot read .*labels: Permission denied")
    finally:
        (tmp_path / "labels").chmod(0o755)


def test_a_map_of_another_size(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    picture(tmp_path / "images/a.jpg", (SIZE[0], 7))
    refused(
        lambda: opened(tmp_path)[0], r"labels/a\.png is 4x6 and its image 4x7, expected the same size: give the map"
    )


def test_regions_are_instances_and_touch_at_corners(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    values = np.zeros(SIZE, np.uint8)
    values[0, 0] = values[1, 1] = values[3, 5] = 1
    save(tmp_path / "labels/a.png", values)
    assert sorted(truth(opened(tmp_path)[0]).values()) == [(0, 21, False), (1, 1, False), (1, 2, False)]


def test_noise_makes_no_instances(tmp_path: Path) -> None:
    write(tmp_path, "images", "labels")
    picture(tmp_path / "images/a.jpg", (300, 300))
    values = np.zeros((300, 300), np.uint8)
    values[::2, ::2] = 1
    save(tmp_path / "labels/a.png", values)
    refused(lambda: opened(tmp_path)[0], r"a\.png has 22500 separate regions of one class of things, at most 10000")
