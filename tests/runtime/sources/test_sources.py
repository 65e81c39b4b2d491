"""Images, folders and videos give their frames in order, under names that keep their outputs apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError


def picture(path: Path, level: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), level, np.uint8)).save(path)
    return path


def video(path: Path, frames: int) -> Path:
    """Frame i is red at level 40 i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), (0, 0, 40 * i), np.uint8))
    writer.release()
    return path


def test_one_picture_whatever_its_suffix(tmp_path: Path) -> None:
    path = picture(tmp_path / "photo.png").rename(tmp_path / "photo.dat")
    found = sources.find(str(path))
    assert isinstance(found, sources.Pictures)
    assert (found.length, found.stems) == (1, {str(path): "photo"})
    assert [(frame.name, frame.read().shape) for frame in found] == [(str(path), (4, 6, 3))]


def test_a_folders_pictures_come_sorted_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.webp"):
        picture(tmp_path / name)
    picture(tmp_path / "folder.png" / "inner.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.jpg").write_bytes(b"what macOS leaves behind")
    assert [Path(frame.name).name for frame in sources.find(tmp_path)] == ["a.JPG", "b.png", "c.webp"]


def test_a_bad_picture_in_a_folder_fails_when_it_is_read_not_before(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    first, second = sources.find(tmp_path)
    assert first.read().shape == (4, 6, 3)
    with pytest.raises(InputError, match=r"b\.png has 0 bytes"):
        second.read()


def test_a_video_gives_its_frames_as_rgb(tmp_path: Path) -> None:
    found = sources.find(video(tmp_path / "clip.mp4", 5))
    assert isinstance(found, sources.Video)
    assert (found.length, found.fps) == (5, 12.5)
    for _ in range(2):  # a source may be gone through again
        frames = list(found)
        assert [frame.name for frame in frames] == [f"{i:06d}" for i in range(5)]
        levels = [frame.read().reshape(-1, 3).mean(axis=0) for frame in frames]
        np.testing.assert_allclose(levels, [[40 * i, 0, 0] for i in range(5)], atol=6)


@pytest.mark.parametrize("content", [b"", b"not a video" * 100, b"\0\0\0\x18ftypmp42" + bytes(500)])
def test_what_is_no_video(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a video that can be decoded"):
        sources.find(path)
    assert capfd.readouterr().err == ""


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        sources.find(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no images in it"):
        sources.find(tmp_path)


def test_equal_stems_keep_their_suffixes() -> None:
    stems = sources.Pictures([Path("a.jpg"), Path("A.png"), Path("b.png")]).stems
    assert stems == {"a.jpg": "a.jpg", "A.png": "A.png", "b.png": "b"}


@given(st.sets(st.tuples(st.sampled_from(["a", "A", "b", "a.png"]), st.sampled_from([".png", ".jpg", ".PNG"]))))
def test_no_two_pictures_share_a_stem(names: set[tuple[str, str]]) -> None:
    paths = [Path(stem + suffix) for stem, suffix in sorted(names)]
    stems = sources.Pictures(paths).stems
    assert len(set(stems.values())) == len(paths)
