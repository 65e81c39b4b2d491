"""A video is whole, or it is not there."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results.encoders import opencv
from pem_edge.runtime.results.opencv_names import encodable
from pem_edge.runtime.results.video_file import VideoFile
from tests.runtime.helpers.footage import image, write_noise

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("library")


@pytest.mark.parametrize("count", [1, 2, 40])
def test_frames_come_back(tmp_path: Path, count: int) -> None:
    file = VideoFile(tmp_path / "new" / "clip.mp4", 12.5)
    for index in range(count):
        file.write(image(index))
        assert not file.path.exists()
    assert 0 < file.bytes_to_finish() < 1_000_000
    file.close()
    capture = cv2.VideoCapture(str(file.path))
    assert [capture.get(which) for which in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT)] == [12.5, count]
    for index in range(count):
        np.testing.assert_allclose(capture.read()[1][32, 48, ::-1], image(index)[32, 48], atol=6)
    assert list(file.path.parent.iterdir()) == [file.path]


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / "clip.mp4", 25)
    assert file.bytes_to_finish() == 0
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path: Path, library: str) -> None:
    """As on a full disk. OpenCV's writer says nothing."""
    code = """
import resource, sys
if sys.argv[2] == "opencv":
    sys.modules["av"] = None
from pathlib import Path
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.results.video_file import VideoFile
from tests.runtime.helpers.footage import write_noise

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
file = VideoFile(Path(sys.argv[1]), 25)
for step in (lambda: write_noise(file, 60), file.close):
    try:
        step()
    except OutputError as error:
        print(error)
"""
    path = tmp_path / "clip.mp4"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), library],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert set(lines) == {f"{path} could not be written: the disk is full, or files may not be that large"}
    assert len(lines) == (2 if library == "pyav" else 1)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_stops_growing_is_noticed_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencv, "_CHECK_INTERVAL", 20)
    file = VideoFile(tmp_path / "clip.mp4", 25)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"clip\.mp4 could not be written: the disk is full"):
            write_noise(file, 200)
        with pytest.raises(OutputError, match="could not be written"):
            file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_still_scene_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames are a few bytes each, which the writer keeps for long."""
    monkeypatch.setattr(opencv, "_CHECK_INTERVAL", 20)
    file = VideoFile(tmp_path / "clip.mp4", 25)
    for _ in range(200):
        file.write(image(0))
    file.close()
    capture = cv2.VideoCapture(str(file.path))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.set(cv2.CAP_PROP_POS_FRAMES, 199)) == (200, True)
    assert capture.read()[1][32, 48].argmax() == 2


def test_frames_of_other_sizes_are_fitted_to_the_first(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / "clip.mp4", 25)
    for size in ((64, 96), (128, 96), (32, 48), (1, 999)):
        file.write(np.full((*size, 3), 255, np.uint8))
    file.close()
    capture = cv2.VideoCapture(str(file.path))
    frames = [capture.read()[1][..., 0] > 127 for _ in range(4)]
    assert [int(frame.any(axis=0).sum()) for frame in frames] == pytest.approx([96, 48, 96, 96], abs=2)
    assert [int(frame.any(axis=1).sum()) for frame in frames[:3]] == pytest.approx([64, 64, 64], abs=2)


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff", b"a\nb", "日本".encode()])
def test_a_folder_of_any_name(tmp_path: Path, name: bytes) -> None:
    """OpenCV crashes on a name that is not UTF-8."""
    folder = tmp_path / os.fsdecode(name)
    file = VideoFile(folder / "clip.mp4", 25)
    file.write(image(0))
    file.close()
    assert list(folder.iterdir()) == [file.path]
    with encodable(file.path) as link:
        assert cv2.VideoCapture(link).get(cv2.CAP_PROP_FRAME_COUNT) == 1
    assert Path(link).exists() == (link == str(file.path))
