"""``pem-run`` as a user meets it: files, lines, JSON, exit codes, and one line for whatever goes wrong."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.artifacts.manifest import manifest_path
from pem_edge.runtime.cli.run import main
from pem_edge.runtime.results import coco_format
from tests.runtime.helpers.summaries import without_summary

COMMAND = [sys.executable, "-c", "import sys; from pem_edge.runtime.cli.run import main; sys.exit(main())"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the output folder, not there yet."""
    return tmp_path / "out"


@pytest.fixture
def run(tiny: Path, out: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command on the tiny model, to exit code, output and error."""

    def call(
        source: Path | str, *options: str, model: Path | str = tiny, output: Path | str = out
    ) -> tuple[int, str, str]:
        code = main([str(model), str(source), "-o", str(output), *options])
        captured = capfd.readouterr()
        return code, without_summary(captured.out), without_summary(captured.err)

    return call


@pytest.fixture
def picture(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """Return the flag as ``flag.png``."""
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """Return a folder of ``a.png``, ``b.jpg`` and ``b.png``."""
    path = tmp_path / "flags"
    path.mkdir()
    for name in ("a.png", "b.jpg", "b.png"):
        Image.fromarray(flag).save(path / name)
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def assert_refused(outcome: tuple[int, str, str], message: str) -> None:
    """Exit code 1, nothing on standard output, and one line on standard error that has ``message``."""
    code, printed, error = outcome
    assert (code, printed) == (1, "")
    assert error.startswith("pem-run: ")
    assert error.count("\n") == 1
    assert message in error
    assert "unexpected" not in error


def test_a_picture(run: Run, picture: Path, out: Path, flag: NDArray[np.uint8]) -> None:
    code, printed, error = run(picture)
    assert (code, error) == (0, "")
    line = printed.removesuffix(" ms\n").rpartition(", ")
    assert line[0] == f"{picture}: 3 segments (red, blue, white)"
    assert float(line[2]) > 0
    assert files_in(out) == ["flag_overlay.png", "flag_panoptic.png", "panoptic.json"]
    overlay = np.asarray(Image.open(out / "flag_overlay.png"))
    assert overlay.shape == flag.shape
    assert overlay[32, 10].argmax() == 0  # still RGB, not BGR
    ids = coco_format.decode(np.asarray(Image.open(out / "flag_panoptic.png")))
    assert [hex(ids[32, column]) for column in (10, 48, 86)] == ["0xff", "0xffffff", "0xff0000"], "red, white, blue"


def test_json(run: Run, picture: Path, out: Path) -> None:
    code, printed, error = run(picture, "--json")
    assert (code, error) == (0, "")
    report = json.loads(printed)
    assert report["errors"] == []
    (image,) = report["images"]
    assert image["image"] == str(picture)
    assert image["panoptic"] == str(out / "flag_panoptic.png")
    assert image["overlay"] == str(out / "flag_overlay.png")
    assert set(image["milliseconds"]) == {"decode", "preprocess", "inference", "postprocess"}
    first = image["segments"][0]
    assert (first["id"], first["category_id"], first["label"], first["isthing"]) == (0xFF, 0, "red", True)
    assert first["bbox"][0] == 0
    assert first["area"] == first["bbox"][2] * first["bbox"][3]


def test_a_folder_with_equal_stems_and_cocos_json(run: Run, folder: Path, out: Path) -> None:
    code, _, _ = run(folder, "--save", "panoptic,json", "--json")
    assert code == 0
    maps = ["a_panoptic.png", "b.jpg_panoptic.png", "b.png_panoptic.png"]
    assert files_in(out) == sorted([*maps, "panoptic.json"])
    document = json.loads((out / "panoptic.json").read_bytes())
    assert [image["file_name"] for image in document["images"]] == ["a.png", "b.jpg", "b.png"]
    assert [(image["height"], image["width"]) for image in document["images"]] == [(64, 96)] * 3
    assert [annotation["file_name"] for annotation in document["annotations"]] == maps
    assert [annotation["image_id"] for annotation in document["annotations"]] == ["a", "b.jpg", "b.png"]
    assert len({image["id"] for image in document["images"]}) == 3
    assert [category["name"] for category in document["categories"]] == ["red", "green", "blue", "white", "black"]
    for annotation in document["annotations"]:
        ids = coco_format.decode(np.asarray(Image.open(out / annotation["file_name"])))
        for segment in annotation["segments_info"]:
            assert (ids == segment["id"]).sum() == segment["area"]


def test_what_is_not_asked_for_is_not_saved(run: Run, picture: Path, out: Path) -> None:
    _, printed, _ = run(picture, "--save", "overlay", "--json")
    assert files_in(out) == ["flag_overlay.png"]
    assert json.loads(printed)["images"][0]["panoptic"] is None


def test_bad_pictures_in_a_folder_are_left_out_and_listed(run: Run, folder: Path, out: Path) -> None:
    (folder / "a.png").write_bytes((folder / "b.png").read_bytes()[:60])
    (folder / "c.jpg").write_bytes(b"")
    code, printed, error = run(folder, "--json", "--save", "panoptic,json")
    report = json.loads(printed)
    assert code == 1
    assert [Path(image["image"]).name for image in report["images"]] == ["b.jpg", "b.png"]
    assert len(report["errors"]) == 2
    assert error == "".join(f"pem-run: {line}\n" for line in report["errors"])
    assert "a.png is" in error
    assert "c.jpg has 0 bytes" in error
    assert len(json.loads((out / "panoptic.json").read_bytes())["images"]) == 2


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Four frames of 96x64: red, green, blue, white."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 64))
    for bgr in ((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255)):
        writer.write(np.full((64, 96, 3), bgr, np.uint8))
    writer.release()
    return path


def test_a_video(run: Run, clip: Path, out: Path) -> None:
    code, printed, error = run(clip, "--json", "--save", "overlay,panoptic,json")
    assert (code, error) == (0, "")
    frames = [f"{i:06d}" for i in range(4)]
    maps = [f"clip_panoptic/{frame}.png" for frame in frames]
    assert files_in(out) == ["clip_overlay.mp4", *maps, "panoptic.json"]
    images = json.loads(printed)["images"]
    assert [image["image"] for image in images] == frames
    assert [image["segments"][0]["label"] for image in images] == ["red", "green", "blue", "white"]
    document = json.loads((out / "panoptic.json").read_bytes())
    assert [annotation["file_name"] for annotation in document["annotations"]] == maps
    capture = cv2.VideoCapture(str(out / "clip_overlay.mp4"))
    assert [capture.get(prop) for prop in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT)] == [10, 4]
    levels = [capture.read()[1].mean(axis=(0, 1)) for _ in range(4)]
    assert [int(level.argmax()) for level in levels[:3]] == [2, 1, 0]


def test_existing_output_needs_overwrite(run: Run, folder: Path, clip: Path, out: Path) -> None:
    out.mkdir()
    existing = out / "b.png_panoptic.png"
    existing.write_text("dear")
    assert_refused(run(folder), f"{out} has {existing.name} already: add --overwrite")
    assert files_in(out) == ["b.png_panoptic.png"]
    assert existing.read_text() == "dear"
    assert run(folder, "--overwrite")[0] == 0
    assert Image.open(existing).size == (96, 64)
    assert_refused(run(clip), "has panoptic.json already")
    assert run(clip, "--overwrite")[0] == 0
    assert_refused(run(clip, "--save", "panoptic"), "has clip_panoptic and 1 more of these files already")


def test_thresholds(run: Run, picture: Path) -> None:
    assert len(json.loads(run(picture, "--json")[1])["images"][0]["segments"]) == 3
    options = ("--json", "--overwrite", "--score-threshold", "0.9999")
    assert json.loads(run(picture, *options)[1])["images"][0]["segments"] == []


def test_progress_is_for_terminals_and_on_standard_error(tiny: Path, folder: Path, out: Path) -> None:
    terminal, stderr = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # rows, columns
    command = [*COMMAND, str(tiny), str(folder), "-o", str(out), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True)
    os.close(stderr)
    assert "3/3" in os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert len(json.loads(done.stdout)["images"]) == 3


def claimed_png() -> bytes:
    """Return a PNG whose header says 20000x20000."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("truncated.jpg", None, "is damaged or not"),
        ("empty.jpg", b"", "has 0 bytes"),
        ("text.jpg", b"Once upon a time, a text was called a picture.", "is not an image"),
        ("huge.png", claimed_png(), "more than 100000000 pixels"),
        ("text.mp4", b"Once upon a time, a text was called a video.", "is not a video that can be decoded"),
    ],
)
def test_unreadable_sources(
    run: Run, tmp_path: Path, out: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is None:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    assert_refused(run(path), message)
    assert not out.exists() or files_in(out) == []


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("one.png", np.full((1, 1, 3), 255, np.uint8)),
        ("gray.png", np.full((64, 96), 255, np.uint8)),
        ("alpha.png", np.full((64, 96, 4), 255, np.uint8)),
        ("sixteen.png", np.full((64, 96), 65535, np.uint16)),
        ("deep.png", np.full((64, 96, 3), 65535, np.uint16)),
    ],
)
def test_unusual_pictures_work(run: Run, tmp_path: Path, out: Path, name: str, pixels: NDArray[Any]) -> None:
    assert cv2.imwrite(str(tmp_path / name), pixels)
    code, printed, _ = run(tmp_path / name, "--json")
    assert code == 0
    assert [segment["label"] for segment in json.loads(printed)["images"][0]["segments"]] == ["white"]
    assert Image.open(out / f"{Path(name).stem}_overlay.png").size == pixels.shape[1::-1]


def test_missing_sources(run: Run, tmp_path: Path) -> None:
    assert_refused(run(tmp_path / "none.jpg"), "none.jpg does not exist")
    (tmp_path / "empty").mkdir()
    assert_refused(run(tmp_path / "empty"), "has no images or videos in it")


def test_artifacts_that_cannot_be_used(run: Run, tiny: Path, picture: Path, build: Callable[..., Path]) -> None:
    assert_refused(run(picture, model="none.onnx"), "none.onnx does not exist: give the path of an exported model")
    assert_refused(run(picture, model="out/none.onnx"), "none.onnx does not exist: give the path of an exported model")
    assert_refused(run(picture, model="org/a-model_1.5"), "with pem-export --weights org/a-model_1.5 --to onnx")
    assert_refused(run(picture, model=picture), "has the suffix '.png'")
    beside = manifest_path(tiny)
    whole = json.loads(beside.read_bytes())
    beside.write_text(json.dumps({**whole, "schema_version": 99}))
    assert_refused(run(picture), "manifest schema 99")
    beside.write_text(json.dumps({**whole, "model": {"file": "tiny.onnx", "sha256": "f" * 64}}))
    assert_refused(run(picture), "one of the two was replaced or edited")
    beside.unlink()
    assert_refused(run(picture), "has no manifest")
    assert run(picture, model=build(lone=True))[0] == 0


def test_backends(run: Run, picture: Path) -> None:
    assert run(picture, "--backend", "onnxruntime")[0] == 0


def test_output_that_cannot_be_written(run: Run, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "out"):
        assert_refused(run(picture, output=place), f"cannot write {place}")


@pytest.mark.parametrize(
    "options",
    [
        ["--save", "overlay,movie"],
        ["--save", ""],
        ["--score-threshold", "1.5"],
        ["--overlap-threshold", "nan"],
        ["--score-threshold", "high"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage(run: Run, picture: Path, options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(picture, *options)
    assert caught.value.code == 2
    assert capfd.readouterr().out == ""


def test_debug_shows_where(run: Run) -> None:
    _, _, error = run("none.jpg", "--debug")
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("pem-run: none.jpg does not exist")


def test_ctrl_c_keeps_what_was_done(tiny: Path, out: Path, tmp_path: Path, flag: NDArray[np.uint8]) -> None:
    many = tmp_path / "many"
    many.mkdir()
    big = np.tile(flag, (10, 10, 1))
    for i in range(400):
        Image.fromarray(big).save(many / f"{i:03d}.bmp")
    command = [*COMMAND, str(tiny), str(many), "-o", str(out), "--save", "overlay,panoptic,json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert without_summary(error) == "pem-run: interrupted\n"
    done = json.loads((out / "panoptic.json").read_bytes())["annotations"]
    assert 3 <= len(done) < 400
    for annotation in done:
        assert Image.open(out / annotation["file_name"]).size == (960, 640)
    assert not [name for name in files_in(out) if name.startswith(".")]
