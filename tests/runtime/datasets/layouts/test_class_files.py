"""Lists of classes are read in all their forms; values and colors of maps are found in them or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import open_dataset
from tests.runtime.datasets.layouts.folders import SIZE, halves, picture, refused, save, truth

RED, BLUE, BLACK = (200, 0, 0), (0, 0, 200), (0, 0, 0)
COLORS = {
    "class_dict.csv": "name,r,g,b\nroad,200,0,0\nvoid,0,0,0\nbus,0,0,200\n",
    "label_colors.txt": "200 0 0\troad\n0 0 0\t\tVoid\n0 0 200\tbus\n",
}


def write(folder: Path, name: str, content: str | bytes, pixels: ArrayLike | None = None) -> Path:
    """Write one picture, its map and a list of classes."""
    picture(folder / "images/a.jpg")
    save(folder / "labels/a.png", halves(0, 2) if pixels is None else pixels)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def opened(folder: Path) -> Dataset:
    return open_dataset(f"labels:{folder}")


def names(dataset: Dataset) -> list[str]:
    return [label.name for label in dataset.labels]


def colored(*columns: tuple[int, int, int]) -> ArrayLike:
    return np.tile(np.repeat(np.array(columns, np.uint8), SIZE[1] // len(columns), axis=0), (SIZE[0], 1, 1))


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt", "codes.txt"])
@pytest.mark.parametrize(
    "text", ["road\nvoid\nbus\n", "\ufeffroad\r\n unlabelled \r\nbus\r\n\r\n", "__ignore__\nroad\nIgnore\nbus"]
)
def test_names_stand_for_values_in_their_order(name: str, text: str, tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, name, text))
    assert names(dataset) == ["road", "bus"]
    assert truth(dataset[0]) == {1: (0, 12, False), 2: (1, 12, False)}


@pytest.mark.parametrize("name", COLORS)
def test_colors_stand_for_classes(name: str, tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, name, COLORS[name], colored(BLUE, BLACK, RED)))
    assert [(label.name, label.color) for label in dataset.labels] == [("road", RED), ("bus", BLUE)]
    assert truth(dataset[0]) == {1: (0, 8, False), 2: (1, 8, False)}
    save(tmp_path / "labels/a.png", halves(2, 1))
    assert list(truth(opened(tmp_path)[0]).values()) == [(1, 12, False)], "a gray map has places in the list"


def test_several_names_of_void_may_have_one_color(tmp_path: Path) -> None:
    text = "0 0 0 void\n0 0 0 ignore\n200 0 0 road\n"
    dataset = opened(write(tmp_path, "label_colors.txt", text, colored(BLACK, RED)))
    assert truth(dataset[0]) == {1: (0, 12, False)}


def test_columns_of_a_table_are_found_by_their_names(tmp_path: Path) -> None:
    assert names(opened(write(tmp_path, "class_dict.csv", 'r,g,b,name\n1,2,3,"road, wet"\n', halves(0, 0)))) == [
        "road, wet"
    ]
    assert names(opened(write(tmp_path, "class_dict.csv", "road,1,2,3\n", halves(0, 0)))) == ["road"]


def test_maps_of_colors_take_the_list_of_colors(tmp_path: Path) -> None:
    write(tmp_path, "class_dict.csv", COLORS["class_dict.csv"], colored(RED, BLUE))
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    assert names(opened(tmp_path)) == ["road", "bus"]
    save(tmp_path / "labels/a.png", halves(0, 2))
    assert names(opened(tmp_path)) == ["x", "y", "z"]


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
def test_values_are_read_from_every_kind_of_map(mode: str, tmp_path: Path) -> None:
    write(tmp_path, "classes.txt", "road\nbus\n")
    values = np.asarray(halves(1, 255))
    image = Image.fromarray(values.astype(np.uint16) if mode == "I;16" else values)
    if mode == "P":
        image.putpalette([200, 0, 0] * 256)
    elif mode != "I;16":
        image = image.convert(mode)
    image.save(tmp_path / "labels/a.png")
    assert list(truth(opened(tmp_path)[0]).values()) == [(1, 12, False)]


def test_a_single_class_is_enough(tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, "classes.txt", "road", halves(0, 255)))
    assert truth(dataset[0]) == {1: (0, 12, False)}


@pytest.mark.parametrize("value", [3, 254])
def test_a_value_that_is_no_class(value: int, tmp_path: Path) -> None:
    dataset = opened(write(tmp_path, "classes.txt", "road\nvoid\nbus", halves(0, value)))
    message = (
        rf"labels/a\.png has the value {value}, which is none of the 3 of .*classes\.txt \(0 to 2; 255 is void\): add"
    )
    refused(lambda: dataset[0], message)


def test_a_value_of_16_bits_that_is_no_class(tmp_path: Path) -> None:
    write(tmp_path, "classes.txt", "road\nbus", halves(1, 257, np.uint16))
    refused(lambda: opened(tmp_path)[0], "has the value 257, which is none of the 2")


def test_a_color_that_is_no_class(tmp_path: Path) -> None:
    write(tmp_path, "label_colors.txt", COLORS["label_colors.txt"], colored(RED, (1, 2, 3)))
    refused(
        lambda: opened(tmp_path)[0], r"has the color \(1, 2, 3\), which is none of the 3 of .*label_colors\.txt: add it"
    )


def test_colors_that_nothing_explains(tmp_path: Path) -> None:
    write(tmp_path, "classes.txt", "road\nbus", colored(RED, BLUE))
    refused(
        lambda: opened(tmp_path)[0], r"has colors, and .*classes\.txt does not tell of which classes: add class_dict"
    )


def test_formats_that_change_classes(tmp_path: Path) -> None:
    write(tmp_path, "classes.txt", "road\nbus")
    (tmp_path / "labels/a.png").unlink()
    picture(tmp_path / "labels/a.jpg")
    refused(lambda: opened(tmp_path), r"a\.jpg is a JPEG, which changes colors and so ids; expected a label map")


REFUSED: Sequence[tuple[str, str | bytes, str]] = [
    ("classes.txt", "", "has no classes, expected a name a line"),
    ("classes.txt", "void\nignore\n", "has no classes"),
    ("classes.txt", "road\n\nbus", "has the line 2 '', expected a name: correct it"),
    ("classes.txt", "road\nbus\nroad", "has the class 'road' twice, expected once"),
    ("classes.txt", b"\xff\xfe\xfa", "is damaged or not a list of classes"),
    ("classes.txt", b"x\n" * 500_001, "has 1000002 bytes, more than the 1000000"),
    ("class_dict.csv", "name,r,g,b\nroad,1,2\n", "has the line 2 'road,1,2', expected name,r,g,b"),
    ("class_dict.csv", "name,r,g,b\nroad,1,2,256\n", "has the line 2 .*expected red, green and blue from 0 to 255"),
    ("class_dict.csv", "road,1,2,x\n", "has the line 1 .*expected red, green and blue"),
    ("class_dict.csv", "name,r,g,b\n", "has no classes"),
    ("label_colors.txt", "1 2 road\n", "has the line 1 '1 2 road', expected r g b name"),
    ("label_colors.txt", "1 2 3 road\n1 2 3 void\n", r"has the color \(1, 2, 3\) twice"),
    ("label_colors.txt", "1 2 3 road\n1 2 3 bus\n", r"has the color \(1, 2, 3\) twice, expected once"),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSED)
def test_lists_that_are_none(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path, name, content)
    refused(lambda: opened(tmp_path), message)


def test_a_list_that_is_a_folder_is_none(tmp_path: Path) -> None:
    write(tmp_path, "codes.txt", "road\nsky\nbus")
    (tmp_path / "classes.txt").mkdir()
    assert len(opened(tmp_path).labels) == 3
