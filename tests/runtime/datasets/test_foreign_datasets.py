"""Datasets as other programs write them: read as they are meant, or refused in a line that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets import panoptic_map
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import coco_format
from tests.runtime.helpers import coco_folder

Document = dict[str, Any]


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names of files


@pytest.mark.parametrize("name", ["../0.png", "/etc/hostname", "a/../../0.png", "", ".", "a\0b.png"])
@pytest.mark.parametrize("part", ["images", "annotations"])
def test_names_do_not_lead_out_of_the_folder(part: str, name: str, tmp_path: Path) -> None:
    coco_folder.save(tmp_path / "0.png", coco_folder.stripes()[0])

    def lead_out(document: Document) -> None:
        document[part][0]["file_name"] = name

    folder = coco_folder.write(tmp_path / "set", 1, lead_out)
    assert "panoptic.json names" in refusal(lambda: open_dataset(str(folder)))


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "loop.png"])
def test_names_that_cannot_be_opened_are_one_line(name: str, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 1, lambda document: document["images"][0].update(file_name=name))
    (folder / "images" / "loop.png").symlink_to("loop.png")
    refusal(lambda: open_dataset(str(folder))[0])


def twins(folder: Path, name_of: Callable[[int], str]) -> Path:
    """Write two images that are both called 000000.png, in folders of their own."""

    def rename(document: Document) -> None:
        for index, record in enumerate(document["images"]):
            record["file_name"] = name_of(index)

    coco_folder.write(folder, 2, rename)
    for index in range(2):
        target = folder / "images" / "camera" / f"drive{index}" / "000000.png"
        target.parent.mkdir(parents=True)
        (folder / "images" / f"{index}.png").rename(target)
    return folder


@pytest.mark.parametrize("prefix", ["", "camera/", "train/", "train/camera/"])
def test_images_of_one_name_are_told_apart_by_their_folders(prefix: str, tmp_path: Path) -> None:
    dataset = open_dataset(str(twins(tmp_path, lambda index: f"{prefix}drive{index}/000000.png")))
    for index in range(2):
        np.testing.assert_array_equal(dataset[index].image, coco_folder.stripes(8 * index)[0])


def test_a_name_that_may_be_several_images_names_them(tmp_path: Path) -> None:
    message = refusal(lambda: open_dataset(str(twins(tmp_path, lambda _: "000000.png"))))
    assert "drive0/000000.png or" in message
    assert "drive1/000000.png" in message


# Maps

IDS = np.arange(64 * 96).reshape(64, 96) % 200


def save_map(path: Path, mode: str, ids: NDArray[np.integer] = IDS) -> None:
    gray = Image.fromarray(ids.astype(np.uint8))
    if mode == "P":
        gray.putpalette(coco_format.encode(np.arange(256)).tobytes())
        gray.save(path)
    elif mode in ("L", "I;16", "I"):
        Image.fromarray(ids.astype({"L": np.uint8, "I;16": np.uint16, "I": np.int32}[mode])).save(path)
    else:
        Image.fromarray(coco_format.encode(ids)).convert(mode).save(path)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "RGBA"), ("a.png", "P"), ("a.png", "L"), ("a.png", "I;16"), ("a.tiff", "I")],
)
def test_ids_come_through_exactly_in_every_lossless_form(name: str, mode: str, tmp_path: Path) -> None:
    save_map(tmp_path / name, mode)
    found = panoptic_map.read(tmp_path / name)
    np.testing.assert_array_equal(found, IDS)
    assert found.dtype == np.int32


def test_ids_above_255_come_through_in_gray_images_of_16_bits(tmp_path: Path) -> None:
    save_map(tmp_path / "a.png", "I;16", IDS * 300)
    np.testing.assert_array_equal(panoptic_map.read(tmp_path / "a.png"), IDS * 300)


def test_the_orientation_of_a_photograph_does_not_turn_a_map(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(coco_format.encode(IDS)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(panoptic_map.read(tmp_path / "a.png"), IDS)


def test_forms_that_do_not_keep_ids_are_refused(tmp_path: Path) -> None:
    colors = Image.fromarray(coco_format.encode(IDS))
    colors.save(tmp_path / "a.jpg")
    assert "is a JPEG, which changes colors and so ids" in refusal(lambda: panoptic_map.read(tmp_path / "a.jpg"))
    colors.putalpha(100)
    colors.save(tmp_path / "a.png")
    assert "is transparent in places" in refusal(lambda: panoptic_map.read(tmp_path / "a.png"))
    Image.fromarray(-IDS.astype(np.int32)).save(tmp_path / "a.tiff")
    assert "has ids from -199 to 0, expected 0 to" in refusal(lambda: panoptic_map.read(tmp_path / "a.tiff"))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    refusal(lambda: panoptic_map.read(tmp_path / "b.png"))


def test_a_dataset_of_gray_maps_is_the_one_of_colors(tmp_path: Path) -> None:
    def renumber(document: Document) -> None:
        for record in document["annotations"]:
            record["segments_info"][0]["id"] = 70

    folder = coco_folder.write(tmp_path, 1, renumber)
    ids = coco_folder.stripes()[1]
    ids[ids == 70000] = 70
    save_map(folder / "panoptic" / "0.png", "I;16", ids)
    np.testing.assert_array_equal(open_dataset(str(folder))[0].panoptic, ids)


# JSON


def set_in_segments(**values: object) -> Callable[[Document], bytes]:
    def write(document: Document) -> bytes:
        for record in document["annotations"]:
            for segment in record["segments_info"]:
                segment.update({key: value(segment) if callable(value) else value for key, value in values.items()})
        return json.dumps(document).encode()

    return write


FORGIVEN: dict[str, Callable[[Document], bytes]] = {
    "a byte order mark": lambda document: b"\xef\xbb\xbf" + json.dumps(document).encode(),
    "UTF-16": lambda document: json.dumps(document).encode("utf-16"),
    "UTF-32": lambda document: json.dumps(document).encode("utf-32"),
    "NaN where nobody reads": set_in_segments(area=float("nan")),
    "infinity where nobody reads": set_in_segments(area=float("inf")),
    "1.0 for 1": set_in_segments(id=lambda segment: float(segment["id"])),
    "no word on crowds": set_in_segments(iscrowd=None),
}


@pytest.mark.parametrize("form", FORGIVEN)
def test_annotations_as_other_programs_write_them(form: str, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path)
    strict = open_dataset(str(folder))[1]
    path = folder / "panoptic.json"
    path.write_bytes(FORGIVEN[form](json.loads(path.read_bytes())))
    found = open_dataset(str(folder))[1]
    assert [(each.id, each.category_id) for each in found.segments] == [
        (each.id, each.category_id) for each in strict.segments
    ]
    assert [label.name for label in labels.load(str(path))] == ["white", "red", "green", "blue", "black"]


BROKEN: dict[str, Callable[[Document], bytes]] = {
    "nothing": lambda _: b"",
    "depth": lambda _: b"[" * 100_000,
    "depth inside": lambda document: json.dumps(document).encode()[:-1] + b', "info": ' + b"[" * 100_000,
    "bad UTF-8": lambda document: json.dumps(document).encode().replace(b"white", b"wh\xffte"),
    "half of UTF-16": lambda document: json.dumps(document).encode("utf-16")[:-1],
    "1.5 for an id": set_in_segments(id=1.5),
    "a number without end": lambda document: json.dumps(document).encode().replace(b"70000", b"7" * 5000),
    "ids that no color holds": set_in_segments(id=1 << 24),
    "NaN for an id": set_in_segments(id=float("nan")),
    "a list for a name": lambda document: json.dumps(document).encode().replace(b'"red"', b'["red"]'),
    "a color that is none": lambda document: json.dumps(document).encode().replace(b"[255, 0, 0]", b"[256, 0, 0]"),
}


@pytest.mark.parametrize("form", BROKEN)
def test_annotations_that_mean_nothing_are_one_line(form: str, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path)
    path = folder / "panoptic.json"
    path.write_bytes(BROKEN[form](json.loads(path.read_bytes())))
    assert str(path) in refusal(lambda: open_dataset(str(folder)))
