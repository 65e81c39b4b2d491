"""``pem-run`` on what people really have: names of any bytes, odd videos, raw frames of no sense."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.datasets.named_files import NamedFiles
from tests.runtime.helpers.summaries import without_summary

COMMAND = [sys.executable, "-c", "import sys; from pem_edge.runtime.cli.run import main; sys.exit(main())"]
VIDEOS = Path(__file__).parents[2] / "data" / "videos"
NAMES = [b"a.png", b"caf\xe9.png", "日本.png".encode(), b"line\nend.png", b"esc\x1b[31mred.png", b"n" * 251 + b".png"]


def run(
    *arguments: object, encoding: str = "utf-8:strict", redirect: str = "</dev/null"
) -> subprocess.CompletedProcess[str]:
    """Run the command through a shell, and print in ``encoding``."""
    words = ["bash", "-c", f'exec "$@" {redirect}', "bash", *COMMAND, *map(str, arguments)]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.fixture
def folder(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """Return a folder of pictures with odd names."""
    path = tmp_path / "odd"
    path.mkdir()
    Image.fromarray(flag).save(tmp_path / "flag.png")
    for name in NAMES:
        shutil.copy(tmp_path / "flag.png", path / os.fsdecode(name))
    return path


@pytest.mark.parametrize("encoding", ["utf-8:strict", "cp1252", "ascii"])
def test_names_of_any_bytes_cost_nothing(tiny: Path, tmp_path: Path, folder: Path, encoding: str) -> None:
    out = tmp_path / "out"
    done = run(tiny, folder, "--save", "overlay,panoptic,json", "-o", out, encoding=encoding)
    assert (done.returncode, without_summary(done.stderr)) == (0, "")
    lines = without_summary(done.stdout).splitlines()
    assert len(lines) == len(NAMES)
    assert any(r"caf\udce9.png: 3 segments" in line for line in lines)
    assert any(r"line\nend.png: 3 segments" in line for line in lines)
    names = [path.name for path in out.iterdir()]
    assert len(names) == 2 * len(NAMES) + 1
    assert {"caf%udce9_overlay.png", "line%nend_panoptic.png", "日本_overlay.png"} <= set(names)
    document = json.loads((out / "panoptic.json").read_bytes())
    assert {found["file_name"] for found in document["annotations"]} <= set(names)
    stored = NamedFiles(folder, "image", out / "panoptic.json")
    assert {os.fsencode(stored.find(image["file_name"]).name) for image in document["images"]} == set(NAMES)


def test_names_of_any_bytes_in_json(tiny: Path, folder: Path, tmp_path: Path) -> None:
    done = run(tiny, folder, "--json", "-o", tmp_path / "out")
    report = json.loads(done.stdout)
    names = [Path(image["image"]).name for image in report["images"]]
    assert sorted(names)[1] == r"caf\udce9.png"
    assert {"line\nend.png", "日本.png"} < set(names)
    assert done.stdout.rstrip("\n").isprintable()
    assert all(Path(image["overlay"]).exists() and Path(image["panoptic"]).exists() for image in report["images"])


@pytest.mark.parametrize("name", ["caf\udce9", "日本", "a" * 240])
def test_a_video_of_any_name_into_a_folder_of_any_name(tiny: Path, tmp_path: Path, name: str) -> None:
    clip, out = tmp_path / f"{name}.3gp", tmp_path / name
    shutil.copy(VIDEOS / "clip.3gp", clip)
    done = run(tiny, clip, "--save", "overlay,panoptic,json", "-o", out)
    assert (done.returncode, without_summary(done.stderr)) == (0, "")
    assert len([path for path in out.rglob("*.png") if path.is_file()]) == 3
    (overlay,) = out.glob("*_overlay.mp4")
    assert overlay.stat().st_size > 500


@pytest.mark.parametrize("name", ["vfr.mkv", "vfr.mp4"])
def test_an_overlay_lasts_as_long_as_its_video(tiny: Path, tmp_path: Path, name: str) -> None:
    """The last of the frames comes at 2.8 s, and stays for one."""
    assert run(tiny, VIDEOS / name, "--save", "overlay", "-o", tmp_path).returncode == 0
    capture = cv2.VideoCapture(str(tmp_path / "vfr_overlay.mp4"))
    fps = capture.get(cv2.CAP_PROP_FPS)
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT) - 1) / fps == pytest.approx(2.8, abs=1 / fps)


def test_an_overlay_has_square_pixels(tiny: Path, tmp_path: Path) -> None:
    assert run(tiny, VIDEOS / "wide.mp4", "--save", "overlay,panoptic", "-o", tmp_path).returncode == 0
    frame = cv2.VideoCapture(str(tmp_path / "wide_overlay.mp4")).read()[1]
    assert frame.shape == (64, 128, 3)
    assert Image.open(tmp_path / "wide_panoptic" / "000000.png").size == (128, 64)


@pytest.mark.parametrize(
    ("size", "redirect", "message"),
    [
        ("999999x999999", "</dev/zero", "standard input claims 999999x999999, more than 100000000 pixels, the limit"),
        ("64x96", "</dev/null", "standard input ended after 0 frames and 0 of"),
        ("64x96", "<&-", "standard input is closed"),
        ("64x97", "< <(head -c 18432 /dev/zero)", "after 0 frames and 18432 of the next one's 18624 bytes"),
    ],
)
def test_raw_frames_of_no_sense_are_one_line(
    tiny: Path, tmp_path: Path, size: str, redirect: str, message: str
) -> None:
    done = run(tiny, "-", "--raw-size", size, "-o", tmp_path / "out", redirect=redirect)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "unexpected" not in done.stderr
