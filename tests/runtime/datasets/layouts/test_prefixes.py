"""Prefixes, splits and things are understood or refused alike, and a folder without one is recognized."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from pem_edge.runtime.cli import dataset_options
from pem_edge.runtime.datasets.layouts.semantic.class_table import is_usual_thing, is_void
from pem_edge.runtime.datasets.opening import LAYOUTS, DatasetLocation, has_labels, open_dataset
from tests.runtime.datasets.layouts.folders import refused
from tests.runtime.helpers import coco_folder


def read(*arguments: str) -> DatasetLocation:
    parser = argparse.ArgumentParser(exit_on_error=False)
    dataset_options.add(parser)
    return dataset_options.read(parser.parse_args(arguments))


def read_validation(*arguments: str) -> DatasetLocation | None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    dataset_options.add(parser)
    dataset_options.add_validation(parser, "DIR", "images for validation")
    options = parser.parse_args(arguments)
    return dataset_options.read_validation(options, dataset_options.read(options))


def test_options_name_a_split_and_things() -> None:
    location = read("--dataset", "labels:DIR", "--split", "val", "--things", "car, traffic light")
    assert (location.split, location.things) == ("val", ("car", "traffic light"))
    assert read("--dataset", "labels:DIR", "--things", "none").things == ()
    assert read("--dataset", "labels:DIR").things is None
    with pytest.raises(argparse.ArgumentError, match="'car,' has an empty name"):
        read("--dataset", "labels:DIR", "--things", "car,")


def test_a_split_for_validation_takes_the_place_of_the_one_to_train_on(tmp_path: Path) -> None:
    expected = DatasetLocation(f"labels:{tmp_path}", split="val", things=("widget",))
    things = ("--things", "widget", "--val-split", "val")
    assert read_validation("--dataset", f"labels:{tmp_path}:train", *things) == expected
    assert read_validation("--dataset", f"labels:{tmp_path}", "--split", "train", *things) == expected
    assert read_validation("--dataset", "DIR", "--val-split", "val") == DatasetLocation("DIR", split="val")
    (tmp_path / "odd:name").mkdir()
    odd = read_validation("--dataset", f"labels:{tmp_path}/odd:name", "--val-split", "val")
    assert odd == DatasetLocation(f"labels:{tmp_path}/odd:name", split="val")
    refused(lambda: read_validation("--dataset", "toy:3", "--val-split", "val"), "toy:3 has no splits")
    refused(lambda: read_validation("--dataset", "labels:nowhere", "--val-split", "val"), "names no folder that is")
    refused(lambda: read_validation("--dataset", "a", "--val", "b", "--val-split", "val"), "leave out one of them")


def test_things_go_to_those_datasets_that_do_not_tell_them() -> None:
    given = ("--dataset", "labels:lab", "--split", "train", "--things", "widget", "--val")
    assert read_validation(*given, "labels:lab:val") == DatasetLocation("labels:lab:val", things=("widget",))
    for text in ("coco-folder", "coco:DIR:val", "toy:3"):
        assert read_validation(*given, text) == DatasetLocation(text)
    assert read_validation("--dataset", "labels:lab") is None


MISFITS: list[tuple[Callable[[Path], object], str]] = [
    (lambda _: DatasetLocation("toy:3", split="val"), "toy:3 has no splits: leave out --split val"),
    (lambda _: DatasetLocation("toy:3", things=()), "toy:3 tells which classes are things: leave out --things"),
    (lambda _: DatasetLocation("coco:x", things=("car",)), "coco:x tells which classes are things"),
    (lambda p: DatasetLocation(str(p), things=("car",)), "tells which classes are things: leave out --things"),
    (lambda p: DatasetLocation("labels:x", images=p), "labels:x names all files itself: leave out --annotations"),
    (lambda p: DatasetLocation(str(p), annotations=p / "a.json", split="val"), "a.json has no splits: leave out"),
    (
        lambda p: DatasetLocation(f"labels:{p}:train", split="val").open(),
        "names the split train and --split val: leave",
    ),
    (lambda _: open_dataset("labels:"), "'labels:' names no folder that is there: give labels:DIR"),
    (lambda _: open_dataset("labels:nowhere:val"), "'labels:nowhere:val' names no folder that is there"),
    (lambda _: open_dataset("cityscape:nowhere"), "cityscape:nowhere is not a folder: did you mean cityscapes?"),
    (lambda _: open_dataset("labels:" + "x" * 5000), "File name too long"),
    (lambda _: open_dataset("labels:\0"), "names no folder|is damaged"),
]


@pytest.mark.parametrize(("action", "message"), MISFITS)
def test_what_does_not_go_together(action: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    refused(lambda: action(tmp_path), message)


FOLDERS = {
    "cityscapes": ("gtFine/val", "leftImg8bit/val"),
    "ade20k": ("images/training", "annotations/training", "annotations_instance/training"),
    "mapillary": ("training/images", "training/v2.0/instances"),
    "camvid": ("train", "trainannot", "val", "valannot"),
}


@pytest.mark.parametrize("prefix", FOLDERS)
def test_a_folder_without_a_prefix_is_recognized(prefix: str, tmp_path: Path) -> None:
    for name in FOLDERS[prefix]:
        (tmp_path / name).mkdir(parents=True)
    expected = f"no panoptic.json, but looks like {LAYOUTS[prefix].name}: say {prefix}:{tmp_path}"
    refused(lambda: open_dataset(str(tmp_path)), expected)


def test_coco_and_label_maps_are_recognized_by_their_files(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    (tmp_path / "classes.txt").touch()
    refused(lambda: open_dataset(str(tmp_path)), f"looks like label maps: say labels:{tmp_path}")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/panoptic_val2017.json").touch()
    refused(lambda: open_dataset(str(tmp_path)), f"looks like COCO: say coco:{tmp_path}")


def test_a_folder_in_cocos_format_may_have_splits(tmp_path: Path) -> None:
    (coco_folder.write(tmp_path) / "panoptic.json").rename(tmp_path / "panoptic_val.json")
    refused(
        lambda: open_dataset(str(tmp_path)), "no panoptic.json, but that of the splits val: choose one with --split val"
    )
    assert len(DatasetLocation(str(tmp_path), split="val").open()) == 2
    refused(
        lambda: DatasetLocation(str(tmp_path), split="dev").open(), "no panoptic_dev.json, but that of the splits val"
    )


def test_what_has_a_prefix_has_labels() -> None:
    assert all(has_labels(f"{prefix}:anywhere") for prefix in LAYOUTS)
    assert not has_labels("anywhere")


@pytest.mark.parametrize(
    "name", ["car", "Cars", "Traffic Light", "traffic_light", "PEDESTRIAN", "Bicyclist", "bus", "person, human"]
)
def test_usual_things(name: str) -> None:
    assert is_usual_thing(name)


@pytest.mark.parametrize("name", ["road", "grass", "glass", "sky", "wall", "carpet", "Sidewalk", "道路"])
def test_usual_stuff(name: str) -> None:
    assert not is_usual_thing(name)


def test_names_of_void() -> None:
    assert all(map(is_void, ["void", "Void", "_void_", "unlabeled", "Unlabelled", "IGNORE", "ignored"]))
    assert not any(map(is_void, ["background", "avoid", "other", "voids"]))
