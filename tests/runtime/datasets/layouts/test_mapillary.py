"""Mapillary Vistas is read as it is downloaded, in both versions, by the classes that lie there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import open_dataset
from tests.runtime.datasets.layouts.folders import SIZE, picture, refused, save, truth
from tests.runtime.helpers import coco_folder

CLASSES: list[dict[str, Any]] = [
    {"name": "animal--bird", "readable": "Bird", "instances": True, "evaluate": True, "color": [165, 42, 42]},
    {"name": "void--dynamic", "readable": "Dynamic", "instances": False, "evaluate": False, "color": [0, 0, 1]},
    {"name": "nature--sky", "readable": "Sky", "instances": False, "evaluate": True, "color": [70, 130, 180]},
]
COLUMNS = [0, 1, 2 * 256, 0, 256, 2 * 256]
"""Two birds, one of them instance 0; sky; what is not evaluated."""


def write(folder: Path, maps: str = "instances", config: str = "config.json", split: str = "training") -> Path:
    picture(folder / split / "images/a.jpg")
    save(folder / split / maps / "a.png", np.tile(np.array(COLUMNS, np.uint16), (SIZE[0], 1)))
    (folder / config).write_text(json.dumps({"version": "x", "labels": CLASSES}))
    return folder


@pytest.mark.parametrize(
    ("maps", "config"),
    [
        ("instances", "config.json"),
        ("v1.2/instances", "config_v1.2.json"),
        ("v2.0/instances", "config_v2.0.json"),
    ],
)
def test_values_are_classes_and_instances(maps: str, config: str, tmp_path: Path) -> None:
    dataset = open_dataset(f"mapillary:{write(tmp_path, maps, config)}")
    assert [(label.name, label.isthing) for label in dataset.labels] == [("Bird", True), ("Sky", False)]
    assert dataset.labels[1].color == (70, 130, 180)
    assert list(truth(dataset[0]).values()) == [(0, 8, False), (0, 4, False), (1, 8, False)]
    assert (dataset[0].panoptic[:, 4] == 0).all()


def test_the_version_can_be_chosen(tmp_path: Path) -> None:
    write(write(tmp_path, "v1.2/instances", "config_v1.2.json"), "v2.0/instances", "config_v2.0.json")
    newer = [{**CLASSES[0], "name": f"animal--{number}"} for number in range(3)]
    (tmp_path / "config_v2.0.json").write_text(json.dumps({"labels": newer}))
    assert len(open_dataset(f"mapillary:{tmp_path}").labels) == 2
    labels = open_dataset(f"mapillary-v2:{tmp_path}").labels
    assert [label.name for label in labels] == ["animal--0", "animal--1", "animal--2"], "which the readable are not"


def test_panoptic_maps_are_read_where_there_are_no_instances(tmp_path: Path) -> None:
    made = coco_folder.write(tmp_path / "made", 1)
    target = tmp_path / "validation"
    (target / "v2.0").mkdir(parents=True)
    (made / "images").rename(target / "images")
    (made / "panoptic").rename(target / "v2.0/panoptic")
    (made / "panoptic.json").rename(target / "v2.0/panoptic/panoptic_2020.json")
    dataset: Dataset = open_dataset(f"mapillary:{tmp_path}")
    assert len(dataset[0].segments) == 3


def test_what_it_refuses(tmp_path: Path) -> None:
    refused(lambda: open_dataset(f"mapillary:{tmp_path}"), "no training or validation with instances of v1.2 or v2.0")
    write(tmp_path)
    refused(lambda: open_dataset(f"mapillary-v2:{tmp_path}"), "with instances of v2.0: unpack")
    (tmp_path / "config.json").write_text(json.dumps({"labels": CLASSES[:2]}))
    refused(lambda: open_dataset(f"mapillary:{tmp_path}")[0], "a.png has the value 512, label 2, expected 256 times a")
    (tmp_path / "config.json").write_text(json.dumps({"labels": CLASSES[1:2]}))
    refused(lambda: open_dataset(f"mapillary:{tmp_path}"), "config.json has no class with evaluate")
    (tmp_path / "config.json").write_text(json.dumps({"labels": CLASSES[:1] * 2}))
    refused(lambda: open_dataset(f"mapillary:{tmp_path}"), "config.json has the name of a class twice")
    (tmp_path / "config.json").write_text("{")
    refused(lambda: open_dataset(f"mapillary:{tmp_path}"), "config.json is damaged or not the classes of Mapillary")
    (tmp_path / "config.json").unlink()
    refused(lambda: open_dataset(f"mapillary:{tmp_path}"), "has no config_v1.2.json or config.json: copy it from")
