"""The bundled label sets are the published ones, and users' own come from COCO category files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import InputError


def test_cityscapes() -> None:
    loaded = labels.load("cityscapes")
    assert [label.name for label in loaded][:3] == ["road", "sidewalk", "building"]
    assert labels.things(loaded) == frozenset(range(11, 19))
    assert loaded[0] == Label(0, "road", False, (128, 64, 128))
    assert loaded[13] == Label(13, "car", True, (0, 0, 142))


def test_ade20k() -> None:
    loaded = labels.load("ade20k")
    assert [loaded[i].name for i in (0, 12, 149)] == ["wall", "person", "flag"]
    assert (len(loaded), len(labels.things(loaded))) == (150, 100)


def test_coco_panoptic() -> None:
    loaded = labels.load("coco_panoptic")
    assert [loaded[i].name for i in (0, 79, 80, 132)] == ["person", "toothbrush", "banner", "rug-merged"]
    assert labels.things(loaded) == frozenset(range(80))
    assert len(loaded) == 133
    assert loaded[100] == Label(100, "road", False, (128, 64, 128))


def test_mapillary_vistas() -> None:
    loaded = labels.load("mapillary_vistas")
    assert [loaded[i].name for i in (0, 13, 55, 64)] == ["Bird", "Road", "Car", "Ego Vehicle"]
    assert (len(loaded), len(labels.things(loaded))) == (65, 37)
    assert loaded[13] == Label(13, "Road", False, (128, 64, 128))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("cityscapes_instance", {0: "person", 1: "rider", 7: "bicycle"}),
        ("coco_instance", {0: "person", 2: "car", 79: "toothbrush"}),
        ("ade20k_instance", {0: "bed", 3: "person", 99: "flag"}),
    ],
)
def test_sets_for_instances_are_the_things_in_order(name: str, names: dict[int, str]) -> None:
    """Detectron2 and Mask2Former number the classes of instance segmentation so."""
    loaded = labels.load(name)
    assert {index: loaded[index].name for index in names} == names
    things = [label for label in labels.load(labels.THINGS_OF[name]) if label.isthing]
    assert [(label.name, label.color) for label in loaded] == [(label.name, label.color) for label in things]
    assert labels.things(loaded) == frozenset(range(max(names) + 1))


@pytest.mark.parametrize("name", labels.BUNDLED)
def test_bundled_sets_are_well_formed(name: str) -> None:
    loaded = labels.load(name)
    assert [label.id for label in loaded] == list(range(len(loaded)))
    assert len({label.name for label in loaded}) == len(loaded)
    assert all(0 <= channel <= 255 for label in loaded for channel in label.color)


@pytest.mark.parametrize(("count", "name"), labels.BY_COUNT.items())
def test_a_number_of_classes_stands_for_a_set_that_has_as_many(count: int, name: str) -> None:
    assert len(labels.load(name)) == count
    assert labels.default(count) == labels.load(name)


@pytest.mark.parametrize("count", [8, 100])
def test_numbers_that_own_models_have_stand_for_no_set(count: int) -> None:
    assert labels.default(count)[0].name == "class 0"


def test_default_by_number_of_classes() -> None:
    assert labels.default(19) == labels.load("cityscapes")
    three = labels.default(3)
    assert [(label.id, label.name, label.isthing) for label in three] == [(i, f"class {i}", True) for i in range(3)]


@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: {"categories": items, "images": []}])
def test_coco_categories(tmp_path: Path, wrap: Any) -> None:
    path = tmp_path / "categories.json"
    items = [
        {"id": 7, "name": "cat", "isthing": 1, "color": [1, 2, 3], "supercategory": "animal"},
        {"id": 90, "name": "sky", "isthing": 0},
    ]
    path.write_text(json.dumps(wrap(items)))
    assert labels.load(str(path)) == (
        Label(0, "cat", True, (1, 2, 3)),
        Label(1, "sky", False, labels.distinct_color(1)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a list of COCO categories"),
        ("{}", "not a list of COCO categories"),
        ("[]", "lists no categories"),
        ('{"categories": []}', "lists no categories"),
        ('[{"name": "cat"}]', "isthing"),
        ('["cat", "dog"]', "not a list of COCO categories"),
    ],
)
def test_files_that_are_no_categories(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "categories.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        labels.load(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="no labels called 'imagenet': name one of cityscapes, coco_panoptic, ade20k"):
        labels.load("imagenet")


@given(st.integers(0, 1000))
def test_colors_are_valid_and_unlike_their_neighbors(index: int) -> None:
    color, following = labels.distinct_color(index), labels.distinct_color(index + 1)
    assert all(0 <= channel <= 255 for channel in color)
    assert sum(abs(a - b) for a, b in zip(color, following, strict=True)) > 60
