"""``pem-data check`` says what is wrong, by text, JSON and picture, and its exit code whether training can begin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from pem_edge.runtime.cli.data import main
from tests.runtime.datasets.layouts.folders import halves, picture, save
from tests.runtime.helpers import coco_folder

Capture = pytest.CaptureFixture[str]


def checked(capture: Capture, *arguments: str | Path) -> tuple[int, str, list[str]]:
    """Exit code, standard output and the lines of standard error but for progress."""
    code = main(["check", *map(str, arguments)])
    printed = capture.readouterr()
    return code, printed.out, [line for line in printed.err.splitlines() if line.startswith("pem-data")]


def spoiled(folder: Path, count: int) -> Path:
    coco_folder.write(folder, count)
    for index in range(1, count):
        (folder / "images" / f"{index}.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("place", [["toy:3:64x128"], ["--dataset", "toy:3:64x128"], ["--json", "toy:3:64x128"]])
def test_what_can_be_trained_on_ends_well(place: list[str], capsys: Capture) -> None:
    code, out, err = checked(capsys, *place)
    assert (code, err) == (0, [])
    if "--json" in place:
        assert json.loads(out)["train"]["images"] == 3
    else:
        assert out.startswith("dataset: 3 images, 64x128\n")
        assert "\nit can be trained on" in out


def test_a_broken_sample_is_an_error_and_all_are_in_the_json(tmp_path: Path, capsys: Capture) -> None:
    folder = spoiled(tmp_path / "dataset", 14)
    code, out, err = checked(capsys, folder)
    assert code == 1
    assert "13 samples are broken" in out
    assert len(err) == 11
    assert err[0].startswith(f"pem-data: {folder}/images/1.png ")
    assert err[-1] == "pem-data: 3 more samples are broken: --json lists all of them"
    code, out, err = checked(capsys, folder, "--json")
    report: dict[str, Any] = json.loads(out)
    assert (code, len(err), len(report["train"]["faults"])) == (1, 11, 13)


def test_a_report_has_a_sheet_of_what_can_be_read(tmp_path: Path, capsys: Capture) -> None:
    folder, report = spoiled(tmp_path / "dataset", 2), tmp_path / "report"
    code, out, _ = checked(capsys, folder, "--val", "toy:2:64x128", "-o", report)
    assert code == 1
    assert f"wrote {report}/report.json and {report}/contact_sheet.png" in out
    sheet = cv2.imread(str(report / "contact_sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] == 480
    document = json.loads((report / "report.json").read_bytes())
    assert document["val"]["images"] == 2
    assert any("the classes differ by name" in warning for warning in document["warnings"])


def test_a_split_is_checked_beside_another_with_the_same_things(tmp_path: Path, capsys: Capture) -> None:
    for split in ("train", "val"):
        picture(tmp_path / split / "images" / "a.png")
        save(tmp_path / split / "labels" / "a.png", halves(0, 1))
    (tmp_path / "classes.txt").write_text("floor\nwidget\n")
    lab, things = f"labels:{tmp_path}", ("--things", "widget")
    for arguments in (
        (f"{lab}:train", "--val", f"{lab}:val", *things),
        (f"{lab}:train", "--val-split", "val", *things),
        (lab, "--split", "train", "--val", f"{lab}:val", *things),
    ):
        code, out, err = checked(capsys, *arguments, "--json")
        report: dict[str, Any] = json.loads(out)
        assert code == 0
        assert ["each connected region of a thing (widget)" in line for line in err] == [True]
        assert [[each["isthing"] for each in report[side]["classes"]] for side in ("train", "val")] == [
            [False, True]
        ] * 2


def test_a_report_is_replaced_only_if_asked_for(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "report.json").write_text("mine")
    code, _, err = checked(capsys, "toy:1:64x128", "-o", tmp_path)
    assert (code, len(err)) == (1, 1)
    assert "add --overwrite" in err[0]
    assert (tmp_path / "report.json").read_text() == "mine"
    assert checked(capsys, "toy:1:64x128", "-o", tmp_path, "--overwrite")[0] == 0


def test_where_nothing_can_be_read_there_is_no_sheet(tmp_path: Path, capsys: Capture) -> None:
    folder = coco_folder.write(tmp_path / "dataset", 1)
    (folder / "panoptic" / "0.png").write_bytes(b"no map")
    assert checked(capsys, folder, "-o", tmp_path / "report")[0] == 1
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no dataset: give --dataset"),
        (["a", "--dataset", "b"], "two datasets, a and b: name one"),
        (["toy:2", "--val", "toy:2", "--images", "x"], "toy:2 is generated and has no files"),
    ],
)
def test_contradictions_are_wrong_usage(arguments: list[str], message: str, capsys: Capture) -> None:
    code, out, err = checked(capsys, *arguments)
    assert (code, out, len(err)) == (2, "", 1)
    assert message in err[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pem-data: the following arguments are required: COMMAND"),
        (["chek"], "pem-data: COMMAND: there is no 'chek': did you mean check?"),
        (["check", "--vall", "x"], "pem-data check: there is no option --vall: did you mean --val?"),
    ],
)
def test_wrong_commands_and_options_say_what_was_meant(arguments: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[0] == message


def completions(line: str, tmp_path: Path) -> list[str]:
    answer = tmp_path / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    subprocess.run([sys.executable, "-m", "pem_edge.runtime.cli.data"], env=environment, check=False, timeout=60)
    return [each.strip() for each in answer.read_text().split("\n")]


def test_shells_complete_the_command_and_its_options(tmp_path: Path) -> None:
    assert completions("pem-data ch", tmp_path) == ["check"]
    assert completions("pem-data check --overw", tmp_path) == ["--overwrite"]


def test_an_interrupted_check_ends_in_good_order(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pem_edge.runtime.cli.data", "check", "toy:9999999:64x128", "-o", "report"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "report").exists():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.splitlines()[-1] == "pem-data: interrupted"
    assert list(tmp_path.iterdir()) == []
