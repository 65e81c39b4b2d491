"""Names in annotations find the right file, stay in their folder, and never give two images one file in silence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pem_edge.runtime.datasets.named_files import NamedFiles
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import InputError
from tests.runtime.helpers import coco_folder


def named(folder: Path, *files: str) -> NamedFiles:
    """Return the files of ``folder / "in"``, after ``files`` were made there."""
    (folder / "in").mkdir(parents=True, exist_ok=True)
    for name in files:
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return NamedFiles(folder / "in", "image", Path("val.json"))


def refused(files: NamedFiles, name: str, message: str) -> str:
    with pytest.raises(InputError, match=message) as caught:
        files.find(name)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


@pytest.mark.parametrize("name", ["drive1/0.png", "./drive1//0.png", "drive1\\0.png", ".\\drive1/0.png"])
def test_a_name_is_a_path_below_the_folder_with_either_slash(name: str, tmp_path: Path) -> None:
    files = named(tmp_path, "drive0/0.png", "drive1/0.png")
    assert files.find(name) == tmp_path / "in/drive1/0.png"


@pytest.mark.parametrize("name", [r"bs\n.png", r"lit\udce9.png", r"drive\bs\n.png", r"drive/bs\n.png"])
def test_a_backslash_may_be_in_the_name_of_a_file(name: str, tmp_path: Path) -> None:
    files = named(tmp_path, name, "n.png", "bs/n.png")
    assert files.find(name) == tmp_path / "in" / name
    assert files.find("bs/n.png") == tmp_path / "in/bs/n.png"


def test_a_file_with_a_backslash_is_searched_for_by_its_name(tmp_path: Path) -> None:
    assert named(tmp_path, r"deep/bs\n.png", "n.png").find(r"bs\n.png") == tmp_path / "in" / r"deep/bs\n.png"


def test_a_path_with_backslashes_may_be_longer_than_a_name(tmp_path: Path) -> None:
    files = named(tmp_path, f"{'a' * 200}/{'b' * 200}.png")
    assert files.find("a" * 200 + "\\" + "b" * 200 + ".png").read_text()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("/etc/passwd", "is absolute"),
        ("\\etc\\passwd", "is absolute"),
        ("C:\\secret.png", "is absolute"),
        ("c:/secret.png", "is absolute"),
        ("//server/share.png", "is absolute"),
        ("../secret.png", r'leaves the folder by "\.\."'),
        ("drive0/../../secret.png", "leaves the folder"),
        ("drive0\\..\\..\\secret.png", "leaves the folder"),
        ("drive0/../0.png", "leaves the folder"),
        ("..", "leaves the folder"),
        ("", "is empty"),
        (".", "is empty"),
        ("0.png\0.txt", "has a zero byte"),
        ("a" * 256, "has a part of more than 255 bytes"),
        ("é" * 128, "has a part of more than 255 bytes"),
        ("a/" * 2048 + "0.png", "has more than 4095 bytes"),
        ("a/" * 1_000_000, "has more than 4095 bytes"),
    ],
)
def test_names_that_are_none_below_the_folder(name: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_text("secret")
    files = named(tmp_path, "drive0/0.png", "0.png")
    assert "val.json names the image " in refused(files, name, fault)


def test_names_of_255_bytes_and_with_odd_characters_are_found(tmp_path: Path) -> None:
    names = ["a" * 251 + ".png", "é" * 125 + ".png", "1:30.png", "..png", "a..b.png", "日本 \n.png"]
    files = named(tmp_path, *names)
    assert [files.find(name).read_text() for name in names] == names


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.sampled_from("./\\\0aC:"), max_size=12))
def test_whatever_a_name_is_made_of_it_stays_below_the_folder(name: str, tmp_path: Path) -> None:
    for place in ("a", "C:", "in/a", "in/C:", "in/aa/a"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    try:
        found = named(tmp_path).find(name)
    except InputError:
        return
    assert found.resolve().is_relative_to(tmp_path / "in")


def test_links_are_followed_as_they_are_the_users_own(tmp_path: Path) -> None:
    files = named(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "0.png").touch()
    (tmp_path / "in" / "drive").symlink_to(tmp_path / "store")
    (tmp_path / "in" / "1.png").symlink_to(tmp_path / "store" / "0.png")
    assert files.find("drive/0.png") == tmp_path / "in/drive/0.png"
    assert files.find("1.png") == tmp_path / "in/1.png"


def test_a_search_goes_through_links_and_ends_in_loops(tmp_path: Path) -> None:
    files = named(tmp_path, "deep/er/0.png")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.png").touch()
    (tmp_path / "in" / "deep" / "store").symlink_to(tmp_path / "store")
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self").symlink_to("self")
    assert files.find("0.png") == tmp_path / "in/deep/er/0.png"
    assert files.find("1.png") == tmp_path / "in/deep/store/1.png"
    refused(files, "2.png", "which is not in .*in: add the .*, or remove its entry$")
    refused(files, "self", "which is not in .*in: add the .*, or remove its entry$")
    refused(files, "self/4.png", "which is not in .*in: add the .*, or remove its entry$")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_what_is_no_file_is_not_found(tmp_path: Path) -> None:
    files = named(tmp_path, "folder.png/0.txt")
    (tmp_path / "in" / "broken.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    for name in ("folder.png", "broken.png", "pipe.png"):
        refused(files, name, "which is not in .*in: add the .*, or remove its entry$")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("0.png", "a/0.png"),
        ("val/1.png", "1.png"),
        ("b/2.png", "x/b/2.png"),
        ("root/c/d/3.png", "c/d/3.png"),
    ],
)
def test_the_longest_path_that_matches_is_taken(name: str, found: str, tmp_path: Path) -> None:
    files = named(tmp_path, "a/0.png", "1.png", "x/b/2.png", "y/c/2.png", "3.png", "d/3.png", "c/d/3.png")
    assert files.find(name) == tmp_path / "in" / found


def test_a_name_of_several_files_names_two_of_them(tmp_path: Path) -> None:
    files = named(tmp_path, "drive0/0.png", "drive1/0.png", "x/cam/1.png", "y/cam/1.png", "z/1.png")
    text = refused(files, "0.png", r"names the image '0\.png', which may be .*in/drive0/0\.png or .*in/drive1/0\.png: ")
    assert text.endswith("write the folder into file_name, too")
    refused(files, "cam/1.png", r"which may be .*in/x/cam/1\.png or .*in/y/cam/1\.png")


def test_a_file_of_another_folder_is_not_taken_for_it(tmp_path: Path) -> None:
    refused(named(tmp_path, "drive0/0.png"), "drive9/0.png", r"which is not in .*in, only 'drive0/0\.png'")


def test_two_names_for_one_file_are_both_named(tmp_path: Path) -> None:
    """Names with folders, and the pictures of all of them copied into one folder over each other."""
    files = named(tmp_path, "0.png")
    assert files.find("drive0/0.png") == tmp_path / "in/0.png"
    refused(files, "drive1/0.png", r"names the image 'drive0/0\.png' and 'drive1/0\.png', which are both .*in/0\.png")


def test_one_name_for_many_images_is_one_file_unless_others_have_it_too(tmp_path: Path) -> None:
    files = named(tmp_path, "0.png", "1.png", "drive1/1.png")
    assert {files.find("0.png") for _ in range(3)} == {tmp_path / "in/0.png"}
    assert files.find("1.png") == tmp_path / "in/1.png"
    refused(files, "1.png", r"which may be .*in/1\.png or .*in/drive1/1\.png")


@pytest.mark.parametrize("folders_are_named", [True, False])
def test_pictures_with_equal_names_in_several_folders(folders_are_named: bool, tmp_path: Path) -> None:
    coco_folder.write(tmp_path, 3)
    document = json.loads((tmp_path / "panoptic.json").read_text())
    for i, image in enumerate(document["images"]):
        path = tmp_path / f"images/drive{i}/000000.png"
        path.parent.mkdir()
        (tmp_path / f"images/{i}.png").rename(path)
        image["file_name"] = f"drive{i}/000000.png" if folders_are_named else "000000.png"
    (tmp_path / "panoptic.json").write_text(json.dumps(document))
    if folders_are_named:
        dataset = open_dataset(str(tmp_path))
        for i in range(3):
            np.testing.assert_array_equal(dataset[i].image, coco_folder.stripes(8 * i)[0])
    else:
        with pytest.raises(InputError, match=r"images/drive0/000000\.png or .*images/drive1/000000\.png"):
            open_dataset(str(tmp_path))


@pytest.mark.parametrize("record", ["images", "annotations"])
@pytest.mark.parametrize("name", ["../../secret.png", "ABSOLUTE"])
def test_neither_images_nor_maps_leave_their_folder(record: str, name: str, tmp_path: Path) -> None:
    coco_folder.save(tmp_path / "secret.png", coco_folder.stripes()[0])
    name = name.replace("ABSOLUTE", str(tmp_path / "secret.png"))
    folder = coco_folder.write(tmp_path / "set", 1, lambda document: document[record][0].update(file_name=name))
    kind = {"images": "image", "annotations": "map"}[record]
    with pytest.raises(InputError, match=rf"panoptic\.json names the {kind} .*secret\.png'?, which (is abs|leaves)"):
        open_dataset(str(folder))
