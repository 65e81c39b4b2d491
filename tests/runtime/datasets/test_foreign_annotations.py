"""Annotations as other tools write them are read; what they claim beyond reason is one line, and takes no memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.opening import has_labels, open_dataset
from pem_edge.runtime.errors import InputError
from tests.runtime.helpers import coco_folder

Document = dict[str, Any]
Edit = Callable[[Document], object]


def of_segments(**values: object) -> Edit:
    """Return a function that sets ``values`` in every segment."""
    return lambda document: [s.update(values) for a in document["annotations"] for s in a["segments_info"]]


def as_float(*keys: str) -> Edit:
    """Return a function that makes 1.0 of 1 in the fields ``keys`` of every record, as pandas does."""

    def edit(document: Document) -> None:
        segments = [segment for record in document["annotations"] for segment in record["segments_info"]]
        for record in (*document["images"], *document["annotations"], *document["categories"], *segments):
            record.update({key: float(record[key]) for key in keys if key in record})

    return edit


def as_windows(document: Document) -> None:
    for record in (*document["images"], *document["annotations"]):
        record["file_name"] = ".\\" + record["file_name"]


HARMLESS: dict[str, Edit] = {
    "ids of pandas": as_float("id", "image_id", "category_id", "iscrowd", "isthing"),
    "ids of pandas in one place": as_float("image_id"),
    "NaN that nobody reads": of_segments(area=float("nan"), bbox=[float("inf")] * 4),
    "no crowd": of_segments(iscrowd=None),
    "crowds as true and false": of_segments(iscrowd=False),
    "areas beyond reason": of_segments(area=10**30, bbox=[-1e300, 0, 1e300, 1e300]),
    "sizes beyond reason": lambda document: document["images"][0].update(height=10**9, width=10**9),
    "sizes of no sense": lambda document: document["images"][0].update(height="tall", width=[None]),
    "names of Windows": as_windows,
    "categories with large ids": lambda document: [
        document["categories"][3].update(id=10**18),
        *(s.update(category_id=10**18) for a in document["annotations"] for s in a["segments_info"]),
    ],
    "images without annotations": lambda document: document["images"].append({"id": 7, "file_name": "../missing"}),
    "fields nobody knows": lambda document: document.update(info=None, licenses=[[[]]]),
}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_annotations_of_other_tools_are_read(kind: str, encoding: str, tmp_path: Path) -> None:
    coco_folder.write(tmp_path, edit=HARMLESS[kind])
    rewrite(tmp_path, encoding)
    dataset = open_dataset(str(tmp_path))
    assert labels.load(str(tmp_path / "panoptic.json")) == tuple(dataset.labels)
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset[1].panoptic, coco_folder.stripes(8)[1])
    assert [segment.id for segment in dataset[1].segments] == [70000, 300, 5]
    assert all(type(segment.id) is int and type(segment.iscrowd) is bool for segment in dataset[1].segments)


def place(*keys: str | int, value: object) -> Edit:
    """Return a function that sets what is at the path ``keys`` in the document."""

    def edit(document: Document) -> None:
        found: Any = document
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] = value

    return edit


SEGMENT = ("annotations", 0, "segments_info", 0)
REFUSED: dict[str, tuple[Edit, str]] = {
    "an id above 24 bits": (
        place(*SEGMENT, "id", value=1 << 24),
        "'0.png' 16777216, expected a whole number from 1 to",
    ),
    "a negative id": (place(*SEGMENT, "id", value=-1), "'0.png' -1, expected a whole number from 1 to 16777215"),
    "half an id": (place(*SEGMENT, "id", value=1.5), r"'0.png' 1\.5, expected a whole number"),
    "an id without an end": (place(*SEGMENT, "id", value=float("inf")), "Expected `int.*got `null`"),
    "an id of NaN": (place(*SEGMENT, "id", value=float("nan")), "Expected `int.*got `null`"),
    "an id of 300 digits": (place(*SEGMENT, "id", value=10**300), r"'0.png' 10+\.\.\.0+, expected a whole number"),
    "an id that is a name": (place(*SEGMENT, "id", value="1"), "Expected `int"),
    "an id that is true": (place(*SEGMENT, "id", value=True), "Expected `int"),
    "a category of 300 digits": (place(*SEGMENT, "category_id", value=10**300), "which is none of the 5"),
    "a long category": (place(*SEGMENT, "category_id", value="x" * 10**6), r"x\.\.\.x.*none of the 5"),
    "a long image id": (place("annotations", 0, "image_id", value="x" * 10**6), r"image 'x+\.\.\.x+', which is none"),
    "a color of 256": (
        place("categories", 0, "color", value=[0, 256, 0]),
        r"Expected `int` <= 255 - at `\$\.categories",
    ),
    "a negative color": (place("categories", 0, "color", value=[0, 0, -1]), "Expected `int` >= 0"),
    "two colors": (place("categories", 0, "color", value=[0, 0]), "Expected `array` of length 3"),
    "a name that is none": (place("categories", 0, "name", value=None), "Expected `str`, got `null`"),
    "a file name that is none": (place("images", 0, "file_name", value=7), "Expected `str`, got `int`"),
    "a crowd of words": (place(*SEGMENT, "iscrowd", value="no"), "Expected `bool"),
    "segments that are none": (place("annotations", 0, "segments_info", value={}), "Expected `array`, got `object`"),
    "no categories": (place("categories", value=[]), "lists no categories, at least one is needed"),
    "no images": (place("images", value=[]), "annotates the image 0, which is none of the 0"),
    "no annotations": (place("annotations", value=[]), "has no annotations, at least one is needed"),
    "images by name": (place("images", value={"0.png": 0}), "Expected `array`, got `object`"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_annotations_that_make_no_sense_are_one_line(kind: str, tmp_path: Path) -> None:
    edit, message = REFUSED[kind]
    coco_folder.write(tmp_path, edit=edit)
    refused(tmp_path, message)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-9], "is damaged or not a COCO panoptic JSON"),
        (lambda data: data.replace(b"white", b"wei\xdf"), "'utf-8' codec can't decode byte 0xdf"),
        (lambda data: data[:-1] + b', "x": ' + b"[" * 99_999 + b"]" * 99_999 + b"}", "is nested too deeply"),
        (lambda data: data.replace(b'"white"', rb'"\ud800"'), "surrogates not allowed"),
    ],
)
def test_damaged_annotations_are_one_line(spoil: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    coco_folder.write(tmp_path)
    path = tmp_path / "panoptic.json"
    path.write_bytes(spoil(path.read_bytes()))
    refused(tmp_path, message)


def test_annotations_that_are_no_file(tmp_path: Path) -> None:
    coco_folder.write(tmp_path).joinpath("panoptic.json").unlink()
    (tmp_path / "panoptic.json").symlink_to("panoptic.json")
    refused(tmp_path, "panoptic.json")
    (tmp_path / "panoptic.json").unlink()
    (tmp_path / "panoptic.json").mkdir()
    refused(tmp_path, "panoptic.json is not a file, expected a COCO panoptic JSON")


@pytest.mark.parametrize("text", ["a" * 300, "a/" * 5000, "\0", "nowhere\0", "~nobody", "line\nend"])
def test_folders_of_no_sense(text: str) -> None:
    with pytest.raises(InputError, match="folder in COCO's panoptic format"):
        open_dataset(text)
    with pytest.raises(InputError, match="folder in COCO's panoptic format"):
        assert has_labels(text) or open_dataset(text)


@pytest.mark.parametrize("text", ["toy:1:99999x99999", "toy:1:10001x10000", "toy:9999999999", "toy:10000000:32x32"])
def test_toy_streets_larger_than_any_image_or_dataset(text: str) -> None:
    with pytest.raises(InputError, match=r"more than 100000000 pixels an image|a COUNT from 1 to 9999999"):
        open_dataset(text)
    assert len(open_dataset("toy:9999999:10000x10000")) == 9_999_999


def test_claims_take_no_memory(tmp_path: Path) -> None:
    """Sizes, areas and ids that annotations claim are no reason to allocate anything."""
    coco_folder.write(tmp_path, 1, HARMLESS["sizes beyond reason"])
    code = (
        "from pem_edge.runtime.benchmark.measures.memory import peak_resident\n"
        "from pem_edge.runtime.datasets.opening import open_dataset\n"
        f"print(len(open_dataset({str(tmp_path)!r})[0].segments))\n"
        "assert peak_resident() < 500_000_000"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")


def rewrite(folder: Path, encoding: str) -> None:
    path = folder / "panoptic.json"
    path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False), encoding)


def refused(folder: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(str(folder))
    assert str(folder / "panoptic.json") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
