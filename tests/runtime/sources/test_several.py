"""Files, folders and patterns as one source, whose outputs never collide and which never takes its own results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pem_edge import runtime
from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import png
from pem_edge.runtime.results.saving import Outputs
from pem_edge.runtime.results.video_file import VideoFile
from tests.runtime.helpers.footage import image, write_video


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image(0, 8, 8)).save(path)
    return path


def names(source: object, *, recursive: bool = False) -> list[str]:
    found = sources.find(source, recursive=recursive)  # type: ignore[arg-type]
    return [Path(frame.name).name for frame in found]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder of pictures and videos, some of them in folders, one of those hidden."""
    for name in ("b.png", "a.JPG", "front/1.jpg", "rear/1.jpg", "rear/deep/1.jpg", ".cache/no.png"):
        picture(tmp_path / "tree" / name)
    write_video(tmp_path / "tree" / "clip.mp4", 2)
    write_video(tmp_path / "tree" / "rear" / "clip.mp4", 3)
    (tmp_path / "tree" / "notes.txt").write_text("no picture")
    return tmp_path / "tree"


def test_a_folder_has_pictures_and_videos(tree: Path) -> None:
    assert names(tree) == ["a.JPG", "b.png", "000000", "000001"]
    found = sources.find(tree)
    assert isinstance(found, sources.Several)
    assert (found.name, found.length, found.live) == ("2 images and 1 video", None, False)
    assert [frame.name for frame in found][2:] == [f"{tree}/clip.mp4/000000", f"{tree}/clip.mp4/000001"]


def test_images_alone(tree: Path) -> None:
    found = sources.find_pictures(tree)
    assert found is not None
    assert [path.name for path in found.paths] == ["a.JPG", "b.png"]
    assert sources.find_pictures(tree / "clip.mp4") is None


def test_folders_in_it_if_asked_for(tree: Path) -> None:
    found = names(tree, recursive=True)
    assert (found.count("1.jpg"), len(found), "no.png" in found) == (3, 10, False)


def test_a_folder_of_folders_says_how_to_take_them(tree: Path) -> None:
    """Commands without the option read folders, too, so that the message says whose it is."""
    with pytest.raises(
        InputError,
        match=r"has no images .*; pem-run --recursive and Segmenter\.stream\(\.\.\., recursive=True\) take those",
    ):
        sources.find(tree.parent)


def test_patterns(tree: Path) -> None:
    assert names(f"{tree}/*.[pJ]*") == ["a.JPG", "b.png"]
    assert names(f"{tree}/**/1.jpg") == ["1.jpg"] * 3
    assert names(f"{tree}/re*", recursive=True) == ["1.jpg", "000000", "000001", "000002", "1.jpg"]
    with pytest.raises(InputError, match=r"\*\.webp matches no file"):
        sources.find(f"{tree}/*.webp")


def test_a_file_whose_name_looks_like_a_pattern_or_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo[1].png", "a ! b.png"):
        picture(tmp_path / name)
        assert names(name) == [name]


@pytest.mark.parametrize("given", [["a.JPG", "clip.mp4", "rear"], ["front", "clip.mp4", "clip.mp4"]])
def test_a_list_mixes_them(tree: Path, given: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    first, *others = names(given)
    assert first == ("a.JPG" if given[0] == "a.JPG" else "1.jpg")
    assert others == ["000000", "000001", *(["1.jpg", "000000", "000001", "000002"] if "rear" in given else [])]


def test_one_video_in_a_list_or_a_folder_is_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 2)
    for given in ([path], tmp_path, f"{tmp_path}/*"):
        found = sources.find(given)
        assert isinstance(found, sources.Video)
        assert (found.length, [frame.name for frame in found]) == (2, ["000000", "000001"])


def test_files_of_unknown_suffix_are_tried(tmp_path: Path) -> None:
    picture(tmp_path / "a.png").rename(tmp_path / "a.frame")
    write_video(tmp_path / "b.mp4", 2).rename(tmp_path / "b.film")
    (tmp_path / "c.txt").write_text("neither")
    good = [tmp_path / "a.frame", tmp_path / "b.film"]
    assert names(tmp_path) == ["a.frame"]
    assert names(good) == ["a.frame", "000000", "000001"]
    *_, bad = sources.find([*good, tmp_path / "c.txt"])
    with pytest.raises(InputError, match=r"c\.txt is not a video that can be decoded, nor an image"):
        bad.read()


def test_what_is_wrong_with_one_costs_only_that(tree: Path) -> None:
    (tree / "clip.mp4").write_bytes(b"no video")
    (tree / "a.JPG").write_bytes(b"")
    write_video(tree / "later.mp4", 1)
    broken_image, good_image, broken_video, good_video = sources.find(tree)
    for frame, message in ((broken_image, r"a\.JPG has 0 bytes"), (broken_video, r"clip\.mp4 is not a video")):
        with pytest.raises(InputError, match=message):
            frame.read()
    assert (good_image.read().shape, good_video.read().shape) == ((8, 8, 3), (64, 96, 3))


@pytest.mark.usefixtures("library")
def test_own_results_are_left_out(tmp_path: Path) -> None:
    png.write(picture(tmp_path / "a.png").with_name("a_overlay.png"), image(1))
    png.write(tmp_path / "renamed.png", image(1)[..., 0])
    file = VideoFile(tmp_path / "film_overlay.mp4", 10)
    file.write(image(0))
    file.close()
    (tmp_path / "film_overlay.mp4").rename(tmp_path / "film.mp4")
    found = sources.find(tmp_path)
    assert ([Path(frame.name).name for frame in found], getattr(found, "left_out", None)) == (["a.png"], 3)
    assert names(f"{tmp_path}/*.png") == ["a.png"]
    assert names(tmp_path / "renamed.png") == ["renamed.png"], "what is named alone is meant"
    assert names(tmp_path / "film.mp4") == ["000000"], "it is a whole video"
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match="has only results of earlier runs"):
        sources.find(tmp_path)


def test_outputs_of_equal_names_do_not_collide(tiny: Path, tree: Path, tmp_path: Path) -> None:
    source = sources.find(tree, recursive=True)
    saved: list[Path] = []
    with (
        runtime.load(tiny) as segmenter,
        Outputs(["overlay", "panoptic", "json"], tmp_path / "out", source) as outputs,
        segmenter.stream(source) as stream,
    ):
        outputs.refuse_existing()
        for result in stream:
            saved += outputs.save(result).values()
    maps = [path for path in saved if "_panoptic" in str(path)]
    assert len(set(maps)) == len(maps) == 10
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in set(saved) if "overlay" in path.name) == [
        "a.JPG_overlay.png",
        "b.png_overlay.png",
        "clip.mp4_overlay.mp4",
        "front_1.jpg_overlay.png",
        "rear_1.jpg_overlay.png",
        "rear_clip.mp4_overlay.mp4",
        "rear_deep_1.jpg_overlay.png",
    ]
    assert all(path.is_file() for path in saved)
    for name, frames in (("clip.mp4", 2), ("rear_clip.mp4", 3)):
        assert len(list(sources.find(tmp_path / "out" / f"{name}_overlay.mp4"))) == frames


def test_a_file_named_twice_is_taken_once(tree: Path) -> None:
    given = [str(tree / "b.png"), str(tree), f"{tree}/front/../b.png", f"{tree}/*.png"]
    found = sources.find_several(given)
    assert [frame.name for frame in found if frame.name.endswith("b.png")] == [
        str(tree / "b.png"),
        f"{tree}/front/../b.png",
    ]


def test_what_is_misspelt_is_named(tree: Path) -> None:
    with pytest.raises(InputError, match=r"clpi\.mp4 does not exist: did you mean .*clip\.mp4\?"):
        sources.find(tree / "clpi.mp4")
    with pytest.raises(InputError, match=r"demo:stret does not exist: did you mean demo:street\?"):
        sources.find_several(["demo:stret", str(tree)])


def test_documents_name_pictures_by_their_folders(tiny: Path, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    source = sources.find_several([str(tree / "front"), str(tree / "rear"), str(tree / "b.png")])
    with (
        runtime.load(tiny) as segmenter,
        Outputs(["json"], tmp_path / "out", source) as outputs,
        segmenter.stream(source) as stream,
    ):
        for result in stream:
            outputs.save(result)
    document = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert [image["file_name"] for image in document["images"] if "clip" not in image["file_name"]] == [
        "front/1.jpg",
        "rear/1.jpg",
        "b.png",
    ]


def test_addresses_are_not_among_several(tree: Path) -> None:
    with pytest.raises(InputError, match="expected a path, http://, https:// or file:///"):
        next(iter(sources.find(["rtsp://camera/stream", tree / "b.png"]))).read()


def test_addresses_that_differ_in_their_query_are_told_apart() -> None:
    found = sources.Pictures([f"http://127.0.0.1:9/snap.jpg?channel={number}" for number in (1, 2, 1)])
    frames = list(found)
    assert [frame.name for frame in frames] == [
        "http://127.0.0.1:9/snap.jpg",
        "http://127.0.0.1:9/snap.jpg (2)",
        "http://127.0.0.1:9/snap.jpg",
    ]
    assert len(set(found.stems.values())) == 2
    assert np.all([name.isprintable() for name in found.stems.values()])
