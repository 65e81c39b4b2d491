"""``pem-bench`` on real artifacts: reports in every form, JSON alone on standard output, one-line errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pem_edge.runtime.benchmark import writing
from pem_edge.runtime.benchmark.schema import parse
from pem_edge.runtime.cli import bench
from pem_edge.runtime.images import DEMO_STREET, locate
from tests.helpers.browser import Browser
from tests.runtime.benchmark.report import made_up
from tests.runtime.conftest import Builder

Capture = pytest.CaptureFixture[str]
QUICK = ("--rounds", "3", "--scenarios", "none", "--seconds", "0.1", "--no-cold-start", "--no-profile",
         "--backend", "onnxruntime")  # fmt: skip


def measured(capture: Capture, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = bench.main([str(argument) for argument in arguments])
    printed = capture.readouterr()
    return code, printed.out, printed.err


def test_json_alone_on_standard_output_and_the_same_in_files(
    build: Builder, capsys: Capture, tmp_path: Path, chromium: Browser
) -> None:
    models = [build(name="first"), build(name="second")]
    files = [tmp_path / f"report.{suffix}" for suffix in ("json", "html", "md")]
    code, out, err = measured(capsys, *models, *QUICK, "--json", *(f"-o{path}" for path in files))
    assert code == 0
    assert all(line.startswith("pem-bench: ") for line in err.splitlines())
    assert json.loads(out) == json.loads(files[0].read_bytes())
    report = parse(out.encode(), "standard output")
    assert ([each.model for each in report.artifacts], report.rounds) == ([str(model) for model in models], 3)
    assert {"preprocess", "inference", "postprocess", "total"} <= set(report.artifacts[0].stages)
    left_out = report.artifacts[0]
    assert (left_out.scenarios.camera, left_out.cold_start, left_out.profile) == (None, None, None)
    assert report.command.startswith("pem-bench ")
    page = chromium.open(files[1], 400)
    assert parse(page.run("return document.getElementById('report').textContent").encode(), "page") == report
    assert (page.overflow, page.requests) == (0, [])
    assert "| --- |" in files[2].read_text()


def test_the_table(tiny: Path, capsys: Capture) -> None:
    code, out, _ = measured(capsys, tiny, *QUICK)
    assert code == 0
    assert "\nLatency. Milliseconds per image, from picture to map" in out
    assert "\n1 tiny.onnx " in out


def test_a_model_of_toy_streets_is_told_of_if_pictures_are_given(capsys: Capture, tmp_path: Path) -> None:
    shutil.copyfile(locate(DEMO_STREET), tmp_path / "street.jpg")
    for options, told in (([], False), (["--images", str(tmp_path)], True)):
        code, _, err = measured(capsys, "demo", *QUICK, *options)
        assert (code, "nothing of photographs" in err) == (0, told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.onnx"], "nowhere.onnx"),
        (["MODEL", "--images", "nowhere"], "nowhere"),
        (["MODEL", "--dataset", "nowhere"], "nowhere is not a folder"),
        (["MODEL", "-o", "MODEL/deeper/report.md"], "cannot write MODEL/deeper"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, tiny: Path, capsys: Capture) -> None:
    given = [argument.replace("MODEL", str(tiny)) for argument in arguments]
    code, out, err = measured(capsys, *QUICK, *given)
    errors = [line for line in err.splitlines() if "pem-bench: loading" not in line]
    assert (code, out, len(errors)) == (1, "", 1)
    assert errors[0].startswith("pem-bench: ")
    assert message.replace("MODEL", str(tiny)) in errors[0]


@pytest.mark.parametrize(
    "options",
    [[], ["demo", "-o", "report.pdf"], ["demo", "--rounds", "0"], ["demo", "--scenarios", "siesta"],
     ["demo", "--threads", "-1"], ["demo", "--seconds", "nan"]],
)  # fmt: skip
def test_wrong_usage(options: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        bench.main(options)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_reports_of_earlier_runs_are_kept_and_that_is_said_before_measuring(
    tiny: Path, capsys: Capture, tmp_path: Path
) -> None:
    path = tmp_path / "report.md"
    path.write_text("precious")
    code, out, err = measured(capsys, tiny, *QUICK, "-o", path)
    assert (code, out) == (1, "")
    assert err == f"pem-bench: {path} exists already: add --overwrite, or choose another name with -o\n"
    assert path.read_text() == "precious"
    assert measured(capsys, tiny, *QUICK, "-o", path, "--overwrite")[0] == 0
    assert path.read_text().startswith("# Latency of tiny.onnx")


def test_what_cannot_be_written_does_not_cost_the_rest(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = [tmp_path / "file" / "report.md", tmp_path / "report.json"]
    errors = list(writing.write(made_up.report(1), writing.REPORTS, paths))
    assert len(errors) == 1
    assert errors[0].startswith(f"cannot write {tmp_path / 'file'}")
    assert parse(paths[1].read_bytes(), "file") == made_up.report(1)


@pytest.mark.parametrize(
    ("rounds", "awaited"), [("1000000", "round 1 to 1000000"), ("3", "single-stream")], ids=["rounds", "scenarios"]
)
def test_interrupted_it_reports_what_was_measured(tiny: Path, tmp_path: Path, rounds: str, awaited: str) -> None:
    path = tmp_path / "report.html"
    arguments = [str(tiny), "--rounds", rounds, "--seconds", "600", "--json", "-o", str(path)]
    code, out, err = interrupted(awaited, 1.5, *arguments)
    report = parse(out.encode(), "standard output")
    assert (code, err) == (130, f"pem-bench: interrupted; what was measured in {report.rounds} rounds is reported\n")
    assert report.rounds == 3 if rounds == "3" else report.rounds > 2
    artifact = report.artifacts[0]
    assert {len(times.values) for times in artifact.stages.values()} == {report.rounds}
    assert artifact.missing["memory"] == "interrupted before"
    assert "interrupted before" in path.read_text()
    assert report.interrupted
    assert f"Interrupted: this is what was measured in {report.rounds} rounds" in path.read_text()
    assert sorted(tmp_path.iterdir()) == sorted([tiny, tiny.with_suffix(".json"), path])


def test_interrupted_before_there_are_rounds_it_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "reports" / "report.html"
    code, out, err = interrupted("loading", 0, str(tiny), "--rounds", "1000000", "-o", str(path))
    assert (code, out, err) == (130, "", "pem-bench: interrupted\n")
    assert not path.parent.exists()


def interrupted(awaited: str, seconds: float, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and the rest of standard error of a run that has Ctrl-C after it said ``awaited``."""
    command = [sys.executable, "-m", "pem_edge.runtime.cli.bench", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stderr
    seen = ""
    while awaited not in seen and running.poll() is None:
        seen = running.stderr.readline()
    time.sleep(seconds)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    return running.returncode, out, err
