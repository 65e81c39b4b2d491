"""A folder in COCO's panoptic format is read as it was written, and what is wrong with it is said in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset, TrueSegment
from pem_edge.runtime.datasets.opening import DatasetLocation, open_dataset
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import coco_format
from tests.runtime.helpers import coco_folder

Document = dict[str, Any]


def test_a_sample_is_what_was_written(tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path)))
    assert len(dataset) == 2
    sample = dataset[1]
    image, panoptic = coco_folder.stripes(8)
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.panoptic, panoptic)
    assert (sample.image.dtype.name, sample.panoptic.dtype.name) == ("uint8", "int32")
    assert sample.segments == [TrueSegment(70000, 1), TrueSegment(300, 0), TrueSegment(5, 3, iscrowd=True)]
    assert sample.name == str(tmp_path / "images" / "1.png")


def test_classes_are_numbered_in_the_order_of_the_categories(tmp_path: Path) -> None:
    labels = open_dataset(str(coco_folder.write(tmp_path))).labels
    assert [label.id for label in labels] == [0, 1, 2, 3, 4]
    assert [label.name for label in labels] == ["white", "red", "green", "blue", "black"]
    assert [label.isthing for label in labels] == [False, True, True, False, False]


def test_category_ids_may_be_names(tmp_path: Path) -> None:
    def rename(document: Document) -> None:
        document["categories"] = [{**record, "id": record["name"]} for record in coco_folder.CATEGORIES]
        for record in document["annotations"]:
            record["segments_info"] = [{"id": i, "category_id": "blue"} for i in (5, 300, 70000)]

    dataset = open_dataset(str(coco_folder.write(tmp_path, edit=rename)))
    assert {segment.category_id for segment in dataset[0].segments} == {3}


def test_the_three_places_may_be_given_apart(tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path / "here")
    folder.joinpath("panoptic.json").rename(tmp_path / "val.json")
    images, panoptic = folder / "images", folder / "panoptic"
    assert len(DatasetLocation(None, tmp_path / "val.json", images, panoptic).open()) == 2
    assert len(DatasetLocation(str(folder), annotations=tmp_path / "val.json").open()) == 2
    with pytest.raises(InputError, match="all of --annotations, --images and --panoptic"):
        DatasetLocation(annotations=tmp_path / "val.json")


def test_a_folder_without_annotations_names_no_option(tmp_path: Path) -> None:
    """Neither Python nor pem-bench has an option for them."""
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path))
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path} has no panoptic.json: give a folder in COCO's panoptic format, with panoptic."
    )
    assert message.endswith(", coco:DIR, camvid:DIR, labels:DIR, or toy:COUNT[:HxW[:SEED]]")
    assert "--" not in message


def test_toy_streets_take_no_paths(tmp_path: Path) -> None:
    for paths in ((tmp_path, None, None), (None, tmp_path, None), (None, None, tmp_path)):
        refused(partial(DatasetLocation, "toy:3", *paths), "toy:3 is generated and has no files: leave out")


def test_cityscapes_as_its_converter_writes_it(tmp_path: Path) -> None:
    """Images lie in one folder per city, and the JSON has other names for them."""
    name = "ulm_000000_000019"

    def rename(document: Document) -> None:
        document["images"][0] = {"id": name, "file_name": f"{name}_gtFine_leftImg8bit.png"}
        document["annotations"][0] |= {"image_id": name, "file_name": f"{name}_gtFine_panoptic.png"}

    folder = coco_folder.write(tmp_path, 1, rename)
    picture = folder / "images" / "ulm" / f"{name}_leftImg8bit.png"
    picture.parent.mkdir()
    (folder / "images" / "0.png").rename(picture)
    (folder / "panoptic" / "0.png").rename(folder / "panoptic" / f"{name}_gtFine_panoptic.png")
    assert open_dataset(str(folder))[0].name == str(picture)


def test_void_and_segments_without_pixels_are_allowed(tmp_path: Path) -> None:
    coco_folder.write(tmp_path, 1)
    coco_folder.save(tmp_path / "panoptic" / "0.png", np.zeros((64, 96, 3), np.uint8))
    sample = open_dataset(str(tmp_path))[0]
    assert not sample.panoptic.any()
    assert len(sample.segments) == 3


def spoil(*keys: str | int, value: object) -> Callable[[Document], None]:
    """Return a function that sets what is at the path ``keys`` in the document."""

    def edit(document: Document) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return edit


SPOILED = {
    r"not a COCO panoptic JSON .*annotations": spoil("annotations", value=None),
    r"not a COCO panoptic JSON .*Expected `int \| float`": spoil("annotations", 0, "segments_info", 0, "id", value="a"),
    r"not a list of COCO categories": spoil("categories", 0, value={"id": 1, "name": "thingless"}),
    r"names the image '9\.png', which is not in .*images": spoil("images", 0, "file_name", value="9.png"),
    r"names the map '9\.png', which is not in .*panoptic": spoil("annotations", 0, "file_name", value="9.png"),
    r"annotates the image 5, which is none of the 2 that it lists: correct it": spoil(
        "annotations", 0, "image_id", value=5
    ),
    r"has the image id 1 twice": spoil("images", 0, "id", value=1),
    r"has the annotation of image 1 twice": spoil("annotations", 0, "image_id", value=1),
    r"has the category id 9 twice": spoil("categories", 0, "id", value=9),
    r"has the category name 'red' twice": spoil("categories", 0, "name", value="red"),
    r"has the segment id of '0\.png' 300 twice": spoil("annotations", 0, "segments_info", 0, "id", value=300),
    r"segment id of '0\.png' 0, expected a whole number from 1 to": spoil(
        "annotations", 0, "segments_info", 0, "id", value=0
    ),
    r"gives the segment id of '0\.png' 70000 the category 8, which is none of the 5 that it lists: correct": spoil(
        "annotations", 0, "segments_info", 0, "category_id", value=8
    ),
    r"has no annotations, at least one is needed": spoil("annotations", value=[]),
}


@pytest.mark.parametrize("message", SPOILED)
def test_a_document_that_cannot_be_right_is_refused_at_once(message: str, tmp_path: Path) -> None:
    coco_folder.write(tmp_path, edit=SPOILED[message])
    refused(lambda: open_dataset(str(tmp_path)), message)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}', "\x00"])
def test_what_is_no_document(text: str, tmp_path: Path) -> None:
    coco_folder.write(tmp_path)
    (tmp_path / "panoptic.json").write_text(text)
    refused(lambda: open_dataset(str(tmp_path)), r"panoptic\.json is damaged or not a COCO panoptic JSON")


def test_missing_folder_and_missing_document(tmp_path: Path) -> None:
    refused(lambda: open_dataset(str(tmp_path / "nowhere")), "nowhere is not a folder")
    refused(lambda: open_dataset(str(tmp_path)), r"has no panoptic\.json: give a folder in COCO's panoptic format")


def test_a_color_that_matches_no_segment(tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path)))
    panoptic = coco_folder.stripes()[1]
    panoptic[3, 4] = 0x030201
    coco_folder.save(tmp_path / "panoptic" / "0.png", coco_format.encode(panoptic))
    refused(
        lambda: dataset[0], r"0\.png has the color \(1, 2, 3\), id 197121, which is none of its 3 segments in .*json"
    )
    assert dataset[1].segments, "the others can still be read"


def test_picture_and_map_of_different_sizes(tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path)))
    coco_folder.save(tmp_path / "images" / "0.png", np.zeros((32, 96, 3), np.uint8))
    refused(lambda: dataset[0], r"panoptic/0\.png is 64x96 and its image 32x96, expected the same size")


@pytest.mark.parametrize("which", ["images", "panoptic"])
def test_damaged_files(which: str, tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path)))
    path = tmp_path / which / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    refused(lambda: dataset[0], rf"{which}/0\.png is (a truncated|damaged)")


def test_samples_end(tmp_path: Path) -> None:
    dataset: Dataset = CocoPanoptic(
        coco_folder.write(tmp_path) / "panoptic.json", tmp_path / "images", tmp_path / "panoptic"
    )
    with pytest.raises(IndexError):
        dataset[2]


def test_what_a_run_saves_can_be_read(tmp_path: Path) -> None:
    """`coco_format.document` and this reader agree."""
    coco_folder.write(tmp_path)
    labels = open_dataset(str(tmp_path)).labels
    document = json.loads((tmp_path / "panoptic.json").read_text())
    categories = coco_format.document([], [], labels)["categories"]
    for record in document["annotations"]:
        record["segments_info"] = [{"id": i, "category_id": 2} for i in (5, 300, 70000)]
    (tmp_path / "panoptic.json").write_text(json.dumps({**document, "categories": categories}))
    again = open_dataset(str(tmp_path))
    assert [label.name for label in again.labels] == [label.name for label in labels]
    assert again[0].segments[0].category_id == 2


def test_toy_streets_are_made_of_count_size_and_seed() -> None:
    dataset = open_dataset("toy:3:64x96:7")
    assert len(dataset) == 3
    np.testing.assert_array_equal(dataset[2].image, ToyStreets(3, 64, 96, seed=7)[2].image)
    assert open_dataset("toy:1")[0].image.shape == (256, 512, 3)


@pytest.mark.parametrize(
    "text", ["toy:", "toy:0", "toy:a", "toy:3:", "toy:3:64", "toy:3:64x64:", "toy:3:0x64", "toy:-1"]
)
def test_what_names_no_toy_streets(text: str) -> None:
    refused(lambda: open_dataset(text), r"expected toy:COUNT\[:HxW\[:SEED\]\]")


def refused(action: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        action()
    assert "\n" not in str(caught.value)
