"""Images, folders and videos give their frames in order, under names that keep their outputs apart."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError

VIDEOS = Path(__file__).parents[2] / "data" / "videos"


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


@pytest.mark.parametrize("source", [None, 1.5, True, b"street.jpg", object()])
def test_what_names_no_source(source: object) -> None:
    with pytest.raises(InputError, match=r"^the source is .*, expected a path, a camera's number or images: give"):
        sources.find(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -1.0, 1e10])
def test_a_timeout_that_nobody_can_wait_for(timeout: float) -> None:
    with pytest.raises(InputError, match=r"^timeout is .*, expected a number of seconds from 0 to 1000000: give one"):
        sources.find("rtsp://127.0.0.1:1/street", timeout=timeout)


@pytest.mark.usefixtures("library")
def test_a_video_gives_its_frames_as_rgb(tmp_path: Path) -> None:
    found = sources.find(video(tmp_path / "clip.mp4", 5))
    assert isinstance(found, sources.Video)
    assert (found.length, found.fps) == (5, 12.5)
    for _ in range(2):  # a source may be gone through again
        frames = list(found)
        assert [frame.name for frame in frames] == [f"{i:06d}" for i in range(5)]
        levels = [frame.read().reshape(-1, 3).mean(axis=0) for frame in frames]
        np.testing.assert_allclose(levels, [[40 * i, 0, 0] for i in range(5)], atol=6)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("content", [b"", b"not a video" * 100, b"\0\0\0\x18ftypmp42" + bytes(500)])
def test_what_is_no_video(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    fault = "is not a video that can be decoded: it is damaged" if content else "has 0 bytes, expected a video"
    with pytest.raises(InputError, match=f"{fault}.*[:;] download or copy it again$"):
        sources.find(path)
    assert capfd.readouterr().err == ""


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        sources.find(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no images or videos in it"):
        sources.find(tmp_path)


def test_equal_stems_keep_their_suffixes() -> None:
    stems = sources.Pictures([Path("a.jpg"), Path("A.png"), Path("b.png")]).stems
    assert stems == {"a.jpg": "a.jpg", "A.png": "A.png", "b.png": "b"}


@given(
    st.sets(
        st.tuples(
            st.sampled_from(["", "one", "One", "two"]),
            st.sampled_from(["a", "A", "b", "a.png", "a" * 251, "a" * 250 + "b", "caf\udce9", "caf%udce9", "a\n"]),
            st.sampled_from([".png", ".jpg", ".PNG"]),
        )
    )
)
def test_no_two_pictures_share_a_stem_and_every_stem_can_be_a_name(names: set[tuple[str, str, str]]) -> None:
    paths = [Path(folder) / (stem + suffix) for folder, stem, suffix in sorted(names)]
    stems = list(sources.Pictures(paths).stems.values())
    assert len({stem.casefold() for stem in stems}) == len(paths)
    assert all(stem.isprintable() and 0 < len(f".{stem}_panoptic-12345678.png".encode()) <= 255 for stem in stems)


def test_equal_names_in_different_folders_are_told_apart_by_these() -> None:
    stems = sources.Pictures([Path("front/1.jpg"), Path("rear/1.jpg")]).stems
    assert stems == {"front/1.jpg": "front_1.jpg", "rear/1.jpg": "rear_1.jpg"}
    deep = sources.Pictures([Path("x/front/1.jpg"), Path("y/front/1.jpg")]).stems
    assert deep == {"x/front/1.jpg": "x_front_1.jpg", "y/front/1.jpg": "y_front_1.jpg"}
    odd = sources.Pictures([Path("a_b/1.jpg"), Path("a/b/1.jpg"), Path("a/b_1.jpg")]).stems
    assert set(odd.values()) == {"000000_1.jpg", "000001_1.jpg", "000002_b_1.jpg"}


def test_a_list_of_paths_pictures_and_arrays(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 7)
    array = np.full((4, 6, 3), 9, np.uint8)
    found = sources.find([str(path), path, Image.fromarray(array), array])
    assert isinstance(found, sources.Pictures)
    assert (found.length, found.paths, found.name) == (4, [path, path], "4 images")
    assert [(frame.name, int(frame.read().mean())) for frame in found] == [
        (str(path), 7),
        (str(path), 7),
        ("000002", 9),
        ("000003", 9),
    ]
    assert (found.name, sources.find([np.zeros((1, 1, 3), np.uint8)]).name) == ("4 images", "1 image")
    with pytest.raises(InputError, match="the image is a dict"):
        next(iter(sources.find([{}]))).read()  # type: ignore[list-item]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "original", ["clip.3gp", "clip.flv", "clip.mts", "clip.h264", "clip.asf", "clip.vob", "wide.mp4"]
)
@pytest.mark.parametrize("suffix", ["own", ".dav", ".MP4", ".jpg", ""])
def test_a_video_is_told_by_its_content(tmp_path: Path, original: str, suffix: str) -> None:
    name = original if suffix == "own" else f"clip{suffix}"
    shutil.copy(VIDEOS / original, tmp_path / name)
    found = sources.find(tmp_path / name)
    assert isinstance(found, sources.Video)
    levels = [frame.read().reshape(-1, 3).mean(axis=0) for frame in found]
    np.testing.assert_allclose(levels, [(10, 60, 200), (76, 60, 140), (142, 60, 80)], atol=12)


@pytest.mark.usefixtures("library")
def test_jpegs_in_a_row_are_a_video_by_their_suffix(tmp_path: Path) -> None:
    assert len(list(sources.find(VIDEOS / "clip.mjpeg"))) == 3
    shutil.copy(VIDEOS / "clip.mjpeg", tmp_path / "photo.jpg")
    assert isinstance(sources.find(tmp_path / "photo.jpg"), sources.Pictures)


@pytest.mark.parametrize("suffix", [".mp4", ".MKV", ""])
def test_a_picture_is_told_by_its_content(tmp_path: Path, suffix: str) -> None:
    (frame,) = sources.find(picture(tmp_path / "photo.png", 9).rename(tmp_path / f"photo{suffix}"))
    np.testing.assert_array_equal(frame.read(), np.full((4, 6, 3), 9))


def test_a_link_to_nothing_is_told_from_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "dang.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(InputError, match=r"dang\.jpg is a link to nowhere\.jpg, which does not exist: give an image"):
        sources.find(tmp_path / "dang.jpg")


@pytest.mark.usefixtures("library")
def test_a_web_page_and_a_pointer_are_no_damaged_videos(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    path.write_bytes(b"\n<!DOCTYPE html><html>")
    for call in (sources.find, sources.Video):
        with pytest.raises(InputError, match=r"drive\.mp4 is a web page \(HTML\), .*: download the file itself"):
            call(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    for call in (sources.find, sources.Video):
        with pytest.raises(InputError, match=r"drive\.mp4 only stands for a file in Git LFS, .*: git lfs pull"):
            call(path)


@pytest.mark.usefixtures("library")
def test_a_torn_video_is_not_to_be_converted(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    path.write_bytes((VIDEOS / "wide.mp4").read_bytes()[:600])
    fault = "is not a video that can be decoded: it is damaged, incomplete or in an unknown codec"
    with pytest.raises(InputError, match=f"{fault}; download or copy it again$"):
        sources.find(path)
    with pytest.raises(InputError, match=rf"{fault}; download or copy it again, or convert it to \.mp4 \(H\.264\)$"):
        sources.find(path.rename(tmp_path / "drive.mov"))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"FFmpeg would make a film of this.\n" * 100),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\n" + bytes(VIDEOS / "clip.mts") + b"\n#EXT-X-ENDLIST\n"),
        ("list.txt", b"ffconcat version 1.0\nfile clip.mts\n"),
        ("noise.bin", np.random.default_rng(0).bytes(5000)),
        ("empty", b""),
        ("zeros", bytes(5000)),
    ],
)
def test_what_is_neither_opens_no_other_file(
    tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(VIDEOS / "clip.mts", tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} (is not a video that can be decoded|has 0 bytes)"):
        sources.find(tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "txt", "ts"])
@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://{0}/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile http://{0}/a.ts\n",
        "v=0\no=- 0 0 IN IP4 ::1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {1} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>http://{0}/</BaseURL></MPD>',
    ],
)
def test_no_file_makes_anyone_call_an_address(tmp_path: Path, suffix: str, content: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        listening.setblocking(False)
        path = tmp_path / f"film.{suffix}"
        path.write_text(content.format(f"{host}:{port}", port))
        with pytest.raises(InputError, match="is not a video that can be decoded"):
            sources.find(path)
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("brand", [b"heic", b"heis", b"mif1", b"avif", b"crx "])
def test_a_photo_in_a_container_for_videos_is_not_played(tmp_path: Path, brand: bytes) -> None:
    """A phone's .heic is made of tiles, of which a reader of videos would give the first."""
    data = bytearray((VIDEOS / "wide.mp4").read_bytes())
    data[8:12] = brand
    (tmp_path / "photo.heic").write_bytes(data)
    (frame,) = sources.find(tmp_path / "photo.heic")
    with pytest.raises(InputError, match=r"photo.heic is a HEIC, AVIF or CR3 image, expected .*: convert it to \.jpg"):
        frame.read()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"\xff\xfe", "日本".encode(), b"a" * 251])
def test_a_name_of_any_bytes_is_read(tmp_path: Path, name: bytes) -> None:
    for original, suffix in ((picture(tmp_path / "a.png"), b".png"), (VIDEOS / "wide.mp4", b".mp4")):
        path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name + suffix)))  # noqa: PTH118
        shutil.copy(original, path)
        found = sources.find(path)
        assert next(iter(found)).read().ndim == 3
        assert not isinstance(found, sources.Several)
        stems = list(found.stems.values()) if isinstance(found, sources.Pictures) else [found.stem]
        assert all(stem.isprintable() and len(stem.encode()) <= 200 for stem in stems)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 256, "cannot read .*: File name too long; give an image"),
        ("loop", "cannot read .*loop: Too many levels of symbolic links; give an image"),
        ("loop/a.png", "cannot read .*loop/a.png: Too many levels of symbolic links"),
        ("file/a.png", "file/a.png does not exist: give an image"),
        ("a\0b", "embedded null byte"),
        ("a\nb\r\nc", "a b c does not exist: give an image"),
        ("socket", "socket is neither a file nor a folder"),
    ],
)
def test_names_that_lead_nowhere(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(InputError, match=message) as caught:
            sources.find(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_links_that_lead_nowhere_cost_only_themselves(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("gone.png")
    (tmp_path / "c.png").symlink_to("c.png")
    good, *bad = sources.find(tmp_path)
    assert good.read().shape == (4, 6, 3)
    for frame in bad:
        with pytest.raises(InputError, match=r"b\.png is a link to .*, which does not|c\.png is behind too many"):
            frame.read()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root within the block, if this is root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Yield a folder that every user can get to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.usefixtures("library")
def test_files_and_folders_of_other_users(public_folder: Path) -> None:
    for path in (picture(public_folder / "a.png"), video(public_folder / "clip.mp4", 2)):
        path.chmod(0)
    picture(public_folder / "closed" / "b.png").parent.chmod(0)
    with as_nobody():
        for name in ("clip.mp4", "closed", "closed/b.png"):
            with pytest.raises(InputError, match=f"cannot read .*{name}: Permission denied; give"):
                sources.find(public_folder / name)
        frames = list(sources.find(public_folder))
        for name, frame in zip(("a.png", "clip.mp4"), frames, strict=True):
            with pytest.raises(InputError, match=f"cannot read .*{name}: Permission denied; give another file"):
                frame.read()
