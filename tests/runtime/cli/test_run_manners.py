"""What ``pem-run`` says around its results, what it checks first, and where it writes if nobody says so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.cli.run import main
from pem_edge.runtime.cli.running.options import parser, read
from pem_edge.runtime.cli.running.report import Report
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.loading import load
from pem_edge.runtime.machine import cpu
from tests.helpers.processes import started
from tests.runtime.conftest import Builder
from tests.runtime.helpers.footage import image, write_video
from tests.runtime.helpers.image_server import response, serving
from tests.runtime.helpers.mjpeg_server import camera

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "import sys; from pem_edge.runtime.cli.run import main; sys.exit(main())"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that is empty but for the tiny model."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def picture(flag: NDArray[np.uint8]) -> Path:
    Image.fromarray(flag).save("flag.png")
    return Path("flag.png")


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_run_has_a_folder_of_its_own(tiny: Path, picture: Path, capfd: Capture) -> None:
    for number in (1, 2):
        assert main([str(tiny), str(picture)]) == 0
        assert re.fullmatch(
            r"flag\.png: 3 .*\nwrote flag_overlay.png, flag_panoptic.png and panoptic.json "
            rf"to runs/{number}, by \w+ [\d.]+ on the CPU\n",
            capfd.readouterr().out,
        )
        assert files_in(Path("runs", str(number))) == ["flag_overlay.png", "flag_panoptic.png", "panoptic.json"]


def test_backends_are_named_and_chosen(tiny: Path, picture: Path, capfd: Capture) -> None:
    assert main([str(tiny), str(picture), "--backend", "onnxruntime", "--save", "none"]) == 0
    last = capfd.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"saved nothing; 1 image went through onnxruntime [\d.]+ on the CPU", last)
    assert not Path("runs").exists()
    assert main([str(tiny), str(picture), "--backend", "onnxruntime", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["backend"], report["output"], report["model"]) == ("onnxruntime", "runs/1", str(tiny))
    assert report["backend_version"]
    assert report["bf16"] is False


def test_bfloat16_is_named(tiny: Path, picture: Path, capfd: Capture) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    if not cpu.BF16 & cpu.features():
        pytest.skip("this CPU does not compute in bfloat16")
    given = [str(tiny), str(picture), "--backend", "openvino", "--bf16"]
    assert main([*given, "--save", "none"]) == 0
    assert re.search(r"through openvino [\d.]+ in bfloat16 on the CPU\n", capfd.readouterr().out)
    assert main([*given, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["bf16"] is True


def test_what_is_there_already_is_named(tiny: Path, picture: Path, capfd: Capture) -> None:
    Image.open(picture).save("other.png")
    given = [str(tiny), "flag.png", "other.png", "-o", "results"]
    assert main(given) == 0
    capfd.readouterr()
    assert main(given) == 1
    assert capfd.readouterr().err == (
        "pem-run: results has flag_overlay.png and 4 more of these files already: add --overwrite, or choose another "
        "folder with -o\n"
    )
    assert main([*given, "--overwrite"]) == 0


def test_typing_errors_come_before_files_that_exist(tiny: Path, picture: Path, capfd: Capture) -> None:
    assert main([str(tiny), str(picture), "-o", "results"]) == 0
    capfd.readouterr()
    for model, source, message in (
        ("tinny.onnx", "flag.png", "tinny.onnx does not exist"),
        (str(tiny), "flg.png", "flg.png does not exist"),
    ):
        assert main([model, source, "-o", "results"]) == 1
        assert message in capfd.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([str(tiny), str(picture), "-o", "results", "--backend", "openvinno"])
    assert "did you mean openvino?" in capfd.readouterr().err


@pytest.mark.parametrize("option", [["-o", "new/folder"], []])
def test_a_failed_command_leaves_no_empty_folder(
    build: Builder, picture: Path, here: Path, option: list[str], capfd: Capture
) -> None:
    model = build(name="broken", rewrite=lambda path: path.write_bytes(b"no model"))
    assert main([str(model), str(picture), *option]) == 1
    capfd.readouterr()
    Path("bad.png").write_bytes(b"")
    assert main(["demo", "bad.png", *option]) == 1
    assert "bad.png has 0 bytes" in capfd.readouterr().err
    assert files_in(here) == ["bad.png", "flag.png"]
    assert sorted(path.name for path in here.iterdir()) == ["bad.png", "flag.png"]


def test_nothing_found_says_why(tiny: Path, picture: Path, capfd: Capture) -> None:
    assert main([str(tiny), str(picture), "--score-threshold", "0.9999", "--save", "none"]) == 0
    captured = capfd.readouterr()
    assert re.match(
        r"flag\.png: 0 segments \(the best of 8 queries scores 0\.\d+, below --score-threshold 0\.9999\), [\d.]+ ms",
        captured.out,
    )
    assert "nothing was found: try a lower --score-threshold" in captured.err
    assert main([str(tiny), str(picture), "--task", "instance", "--score-threshold", "1", "--save", "none"]) == 0
    assert re.search(r"0 instances \(the best of \d+ instances scores 0\.\d+, below", capfd.readouterr().out)


@pytest.mark.parametrize(
    ("options", "reason", "advice"),
    [
        (
            ["--overlap-threshold", "1"],
            "too little of their masks is visible",
            "a lower --overlap-threshold or another",
        ),
        (["--overlap-threshold", "0"], "none has a mask that covers a pixel", "a larger picture or another model"),
        (
            ["--score-threshold", "0", "--overlap-threshold", "0"],
            "none has a mask",
            "a larger picture or another model",
        ),
        (["--score-threshold", "1"], "below --score-threshold 1", "a lower --score-threshold or another model"),
        (["--task", "instance"], "no query has an instance", "another model"),
    ],
)
def test_advice_fits_the_options_in_force(options: list[str], reason: str, advice: str, capfd: Capture) -> None:
    Image.new("RGB", (5000, 1)).save("thin.png")
    assert main(["demo", "thin.png", "--save", "none", *options]) == 0
    captured = capfd.readouterr()
    assert reason in captured.out
    assert captured.err.splitlines()[-1].startswith(f"pem-run: nothing was found: try {advice}")


def test_a_slow_merge_is_told_of(tiny: Path, picture: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    monkeypatch.setattr(postprocess, "merging", lambda: "numpy")
    told = "pem-run: masks are merged by NumPy, which is slower: have a C compiler, and install this package again\n"
    assert main([str(tiny), str(picture)]) == 0
    assert capfd.readouterr().err.count(told) == 1
    assert main([str(tiny), str(picture), "--json"]) == 0
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("PEM_EDGE_MERGE", "numpy")
    assert main([str(tiny), str(picture)]) == 0
    assert told not in capfd.readouterr().err, "as it was asked for"


def test_several_of_a_class_are_counted_in_a_way_of_every_language(capfd: Capture) -> None:
    assert main(["demo", "demo:street", "--save", "none"]) == 0
    captured = capfd.readouterr()
    assert re.search(r"\d \N{MULTIPLICATION SIGN} car[,)]", captured.out)
    assert "toy streets" not in captured.err, "this one is"


def test_files_folders_patterns_and_addresses_at_once(tiny: Path, picture: Path, capfd: Capture) -> None:
    write_video(Path("clip.mp4"), 2)
    Path("folder/deep").mkdir(parents=True)
    for name in ("folder/a.png", "folder/deep/b.png", "c1.png", "c2.png"):
        Image.open(picture).save(name)
    png = cv2.imencode(".png", image(0)[..., ::-1])[1].tobytes()
    with serving(lambda _head, send: send(response(png))) as address:
        given = ["flag.png", "clip.mp4", "folder", "c?.png", f"{address}/photo"]
        assert main([str(tiny), *given, "--recursive", "--jsonl", "-o", "out"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    names = ["flag.png", "clip.mp4/000000", "clip.mp4/000001", "folder/a.png", "folder/deep/b.png", "c1.png", "c2.png"]
    assert [line["image"] for line in lines] == [*names, f"{address}/photo"]
    assert files_in(Path("out")) == sorted(
        ["clip_overlay.mp4", "clip_panoptic/000000.png", "clip_panoptic/000001.png", "panoptic.json"]
        + [f"{name}_{kind}.png" for name in ("flag", "a", "b", "c1", "c2", "photo") for kind in ("overlay", "panoptic")]
    )


def test_own_results_are_left_out_and_counted(tiny: Path, picture: Path, capfd: Capture) -> None:
    assert main([str(tiny), str(picture), "-o", "."]) == 0
    capfd.readouterr()
    for given in (["."], ["*.png"], [str(path) for path in Path().glob("*.png")]):
        assert main([str(tiny), *given]) == 0
        captured = capfd.readouterr()
        assert captured.out.startswith("flag.png: 3 segments")
        assert captured.out.count("\n") == 2
        assert "pem-run: 2 results of earlier runs were left out: give one alone to segment it\n" in captured.err
    assert main([str(tiny), "flag_overlay.png"]) == 0


@pytest.mark.parametrize("given", [["0", "1"], ["rtsp://u:secret@camera/x", "a.png"], ["flag.png", "none.png"]])
@pytest.mark.usefixtures("picture")
def test_several_that_cannot_be(tiny: Path, given: list[str], capfd: Capture) -> None:
    assert main([str(tiny), *given]) == 1
    error = capfd.readouterr().err
    assert "is a camera or a stream: give it alone" in error or "none.png does not exist" in error
    assert (error.count("\n"), "secret" in error) == (1, False)


def test_a_line_of_json_for_each_image_as_it_is_done(tiny: Path) -> None:
    """The camera never ends: only lines that come at once are ever read."""
    with (
        camera(100_000, fps=100) as address,
        started([*COMMAND, str(tiny), address, "--jsonl", "--save", "none"]) as process,
    ):
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert [set(line) >= {"image", "segments", "milliseconds"} for line in lines] == [True] * 3


@pytest.mark.parametrize("given", [[], ["--json"], ["--jsonl"]])
def test_results_with_nothing_in_them_are_counted_however_they_are_printed(
    tiny: Path, picture: Path, given: list[str]
) -> None:
    request = read(parser().read([str(tiny), str(picture), *given]))
    with load(tiny, score_threshold=1) as segmenter:
        report = Report(request, segmenter, request.source.open(), None)
        report.show(segmenter(picture), {})
    assert (report.results, report.empty, report.remedies) == (1, 1, {"a lower --score-threshold"})


@pytest.mark.usefixtures("picture")
def test_errors_are_lines_of_json_too(tiny: Path, capfd: Capture) -> None:
    Path("bad.png").write_bytes(b"")
    assert main([str(tiny), "bad.png", "flag.png", "--jsonl"]) == 1
    captured = capfd.readouterr()
    first, second = (json.loads(line) for line in captured.out.splitlines())
    assert "bad.png has 0 bytes" in first["error"]
    assert (first["image"], second["image"], first["source"], second["source"]) == ("bad.png", "flag.png", None, None)
    said, error = captured.err.splitlines()
    assert said.startswith("pem-run: wrote flag_overlay.png, flag_panoptic.png and panoptic.json to runs/1, by ")
    assert error == f"pem-run: {first['error']}"


def test_lines_of_json_name_the_video_of_a_frame(tiny: Path, capfd: Capture) -> None:
    whole = (ROOT / "tests" / "data" / "videos" / "clip.mts").read_bytes()
    Path("drive.mts").write_bytes(whole[: len(whole) * 4 // 5])
    assert main([str(tiny), "drive.mts", "--jsonl", "--save", "none"]) == 1
    *frames, error = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert [frame["image"] for frame in frames] == [f"{number:06d}" for number in range(len(frames))]
    assert {frame["source"] for frame in frames} == {"drive.mts"}
    assert (error["image"], error["source"]) == (None, "drive.mts")
    assert error["error"].startswith("drive.mts ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--jsonl"], "--json and --jsonl exclude each other"),
        (["flag.png", "--raw-size", "2x2"], "--raw-size was given with 2 sources"),
        (["--timeout", "-1"], "'-1' must be a number of seconds between 0 and 1000000"),
        (["--save", "movie"], "there is no 'movie': choose from overlay, panoptic, json, semantic, instances"),
    ],
)
def test_wrong_usage_exits_with_2(tiny: Path, options: list[str], message: str) -> None:
    command = [*COMMAND, str(tiny), "flag.png", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_videos_that_browsers_do_not_play_are_told_of(tiny: Path, library: str, capfd: Capture) -> None:
    write_video(Path("clip.mp4"), 2)
    assert main([str(tiny), "clip.mp4", "--save", "overlay"]) == 0
    told = "the video is MPEG-4 Part 2, which browsers do not play: pip install " in capfd.readouterr().err
    assert told == (library == "opencv")
