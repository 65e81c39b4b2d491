"""``pem-run`` on what lives, stalls, stops half-way or never ends, and on disks that fill up."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers.processes import started
from tests.runtime.helpers.footage import image, write_video
from tests.runtime.helpers.mjpeg_server import camera
from tests.runtime.helpers.summaries import without_summary

COMMAND = [sys.executable, "-c", "import sys; from pem_edge.runtime.cli.run import main; sys.exit(main())"]
RAW = ("--raw-size", "64x96")


def running(
    tiny: Path, source: Path | str, *options: str, **popen: Any
) -> AbstractContextManager[subprocess.Popen[str]]:
    return started([*COMMAND, str(tiny), str(source), *options], **popen)


def finished(tiny: Path, source: Path | str, *options: str, **popen: Any) -> tuple[int, str, str]:
    with running(tiny, source, *options, **popen) as process:
        out, error = process.communicate(timeout=60)
    return process.returncode, without_summary(out), without_summary(error)


def frames_in(video: Path) -> int:
    return round(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def assert_consistent(folder: Path) -> int:
    """Return every map that ``panoptic.json`` tells of is whole; returns their number."""
    annotations = json.loads((folder / "panoptic.json").read_bytes())["annotations"]
    for annotation in annotations:
        Image.open(folder / annotation["file_name"]).load()
    return len(annotations)


def test_raw_frames_on_standard_input(tiny: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.rgb"
    clip.write_bytes(b"".join(image(index).tobytes() for index in range(5)))
    with clip.open() as stdin:
        code, out, error = finished(tiny, "-", *RAW, "-o", str(tmp_path), "--save", "overlay", stdin=stdin)
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{index:06d}" for index in range(5)] + ["standard input"]
    assert re.fullmatch(r"standard input: 5 frames, [\d.]+ FPS, 0 dropped", lines[-1])
    assert frames_in(tmp_path / "stdin_overlay.mp4") == 5


def test_a_last_raw_frame_that_is_cut_off_is_one_line(tiny: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.bgr"
    clip.write_bytes(image(0)[..., ::-1].tobytes() + bytes(100))
    code, out, error = finished(
        tiny, clip, *RAW, "--raw-format", "bgr24", "--json", "--save", "json", "-o", str(tmp_path)
    )
    report = json.loads(out)
    assert code == 1
    assert [found["segments"][0]["label"] for found in report["images"]] == ["red"]
    assert error == f"pem-run: {report['errors'][0]}\n"
    assert "after 1 frame and 100 of the next one's 18432 bytes" in error


def test_standard_input_needs_a_size(tiny: Path) -> None:
    assert finished(tiny, "-") == (1, "", "pem-run: - gives raw frames: give their size with --raw-size HxW\n")


@pytest.mark.parametrize(
    "option",
    [
        ("--raw-size", "big"),
        ("--frames", "0"),
        ("--frames", f"{10**20}"),
        ("--threads", "1025"),
        ("--timeout", "soon"),
        ("--timeout", "nan"),
        ("--live", "x"),
        ("--live", "-1"),
        ("--live", "65536"),
    ],
)
def test_wrong_usage(tiny: Path, option: tuple[str, str]) -> None:
    code, out, error = finished(tiny, "0", *option)
    assert (code, out) == (2, "")
    assert option[0] in error


def test_a_number_of_frames_ends_a_source_that_never_does(tiny: Path, tmp_path: Path) -> None:
    with camera(100_000, fps=100) as address:
        options = ("--frames", "4", "--json", "--save", "overlay,json", "-o", str(tmp_path))
        code, out, error = finished(tiny, address, *options)
    report = json.loads(out)
    assert (code, error, len(report["images"])) == (0, "", 4)
    assert report["dropped"] >= 0
    assert frames_in(tmp_path / "127.0.0.1_camera_overlay.mp4") >= 4


def test_a_camera_that_is_lost_keeps_what_was_done(tiny: Path, tmp_path: Path) -> None:
    with camera(30, fps=50) as address:
        code, out, error = finished(tiny, address, "--save", "overlay,panoptic,json", "-o", str(tmp_path))
    assert code == 1
    assert error.startswith(f"pem-run: {address} was lost after 30 frames: ")
    assert error.count("\n") == 1
    done = assert_consistent(tmp_path)
    dropped = int(re.findall(r"(\d+) dropped", out)[0])
    assert done + dropped == 30
    assert frames_in(tmp_path / "127.0.0.1_camera_overlay.mp4") >= done


def test_a_video_that_ends_early_keeps_what_was_done(tiny: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mkv", 60, noise=True)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    code, out, error = finished(tiny, clip, "--save", "overlay", "-o", str(tmp_path / "out"), "--json")
    report = json.loads(out)
    assert code == 1
    assert "ended early, after" in error
    assert error == f"pem-run: {report['errors'][0]}\n"
    assert frames_in(tmp_path / "out" / "clip_overlay.mp4") == len(report["images"]) > 10


def test_a_fifo_that_stalls_is_one_line(tiny: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code, _, error = finished(tiny, fifo, *RAW, "--timeout", "0.5", "--save", "overlay")
    assert code == 1
    cure = "see whether it still runs, or give a longer timeout"
    assert error == f"pem-run: {fifo} gave no image for 0.5 s: {cure}\n"


def test_ctrl_c_while_a_fifo_stalls_and_a_page_is_open(tiny: Path, tmp_path: Path) -> None:
    fifo, out = tmp_path / "fifo", tmp_path / "out"
    os.mkfifo(fifo)
    written = threading.Event()

    def write() -> None:
        with fifo.open("wb") as file:
            for index in range(3):
                file.write(image(index).tobytes())
            file.flush()
            written.wait(60)

    threading.Thread(target=write, daemon=True).start()
    options = (*RAW, "--timeout", "0", "--live", "0", "--save", "overlay,panoptic,json", "-o", str(out))
    with running(tiny, fifo, *options) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stderr.readline().removeprefix("pem-run: live at ").strip()
        for _ in range(3):
            process.stdout.readline()
        stream = urlopen(f"{address}/stream", timeout=10)
        assert json.loads(urlopen(f"{address}/status.json", timeout=10).read())["frames"] == 3
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    stream.close()
    written.set()
    assert (process.returncode, without_summary(error)) == (130, "pem-run: interrupted\n")
    assert assert_consistent(out) == 3
    assert frames_in(out / "fifo_overlay.mp4") == 3


def test_ctrl_c_in_a_video(tiny: Path, tmp_path: Path) -> None:
    clip, out = write_video(tmp_path / "clip.mp4", 3000), tmp_path / "out"
    with running(tiny, clip, "--save", "overlay,panoptic,json", "-o", str(out)) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        printed, error = process.communicate(timeout=20)
    assert (process.returncode, without_summary(error)) == (130, "pem-run: interrupted\n")
    done = assert_consistent(out)
    assert 5 <= done < 3000
    assert done - 1 <= frames_in(out / "clip_overlay.mp4") <= done + 1  # between the two is where it was interrupted
    assert re.search(r"clip\.mp4: \d+ frames, .* FPS, 0 dropped\n$", without_summary(printed))
    assert not [name for name in files_in(out) if name.startswith(".")]


def test_the_page_shows_a_run_and_nothing_is_saved_unasked(tiny: Path, tmp_path: Path) -> None:
    with (
        camera(100_000, fps=100) as address,
        running(tiny, address, "--live", "0", "-o", str(tmp_path / "out")) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().endswith("/out: with --live, say what to save with --save\n")
        page = process.stderr.readline().removeprefix("pem-run: live at ").strip()
        process.stdout.readline()
        found = json.loads(urlopen(f"{page}/status.json", timeout=10).read())
        assert (found["source"], found["running"]) == (address, True)
        assert found["frames"] >= 1
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert not (tmp_path / "out").exists()


def test_a_port_in_use_is_one_line(tiny: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, error = finished(tiny, clip, "--live", str(port))
    assert (code, out) == (1, "")
    assert error == f"pem-run: port {port} on 127.0.0.1 is in use: choose another with --live PORT\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs more rights")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("kinds", ["overlay,panoptic,json", "panoptic,json", "panoptic", "overlay"])
def test_a_disk_that_fills_keeps_what_was_done(tiny: Path, tmp_path: Path, small_disk: Path, kinds: str) -> None:
    clip = tmp_path / "noise.rgb"
    rng = np.random.default_rng(0)
    with clip.open("wb") as file:
        for _ in range(60):
            file.write(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8).tobytes())
    if "panoptic" in kinds:  # whose maps of noise take little
        (small_disk / "filler").write_bytes(bytes(2_000_000 if "json" in kinds else 2_990_000))
    out = small_disk / "out"
    code, printed, error = finished(tiny, clip, "--raw-size", "480x640", "--save", kinds, "-o", str(out))
    assert code == 1
    assert error.startswith("pem-run: ")
    assert error.count("\n") == 1
    assert "left, too little to go on" in error or "No space left on device" in error
    done = len(printed.splitlines()) - 1
    assert 0 < done < 60
    assert not [name for name in files_in(out) if name.startswith(".")]
    if "json" in kinds:
        assert assert_consistent(out) in (done, done + 1)
    if "overlay" in kinds:
        assert frames_in(out / "noise_overlay.mp4") in (done, done + 1)
    for map_ in out.rglob("*.png"):
        Image.open(map_).load()
