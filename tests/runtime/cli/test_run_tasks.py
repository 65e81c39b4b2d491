"""``pem-run`` shows and saves what a model was trained for, or what it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.cli.run import main
from tests.runtime.conftest import Builder
from tests.runtime.helpers.summaries import without_summary

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def picture(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """Return the flag as ``flag.png``."""
    path = tmp_path / "flag.png"
    Image.fromarray(flag).save(path)
    return path


def run(capture: Capture, model: Path, picture: Path, *options: str) -> tuple[str, list[str]]:
    """Return what the command prints, and the files that it saves."""
    out = picture.parent / "out"
    assert main([str(model), str(picture), "-o", str(out), "--overwrite", *options]) == 0
    printed = capture.readouterr()
    assert without_summary(printed.err) == ""
    return printed.out, sorted(path.name for path in out.iterdir()) if out.exists() else []


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize(
    ("task", "line", "saved"),
    [
        ("panoptic", "3 segments (red, blue, white)", "flag_panoptic.png"),
        ("semantic", "3 classes (red, blue, white)", "flag_semantic.png"),
        ("instance", "1 instance (red)", "instances.json"),
    ],
)
def test_lines_and_files(
    build: Builder, picture: Path, capsys: Capture, task: str, line: str, saved: str, asked: bool
) -> None:
    """A model that was trained for instances finds some in all classes, so that red must be asked of another one."""
    other = "semantic" if task == "panoptic" else "panoptic"
    model = build(task=other if asked else task)
    printed, files = run(capsys, model, picture, *(["--task", task] if asked else []))
    if task == "instance" and not asked:
        line = "3 instances (red, blue, white)"
    assert printed.startswith(f"{picture}: {line}, ")
    described = ["panoptic.json"] if task == "panoptic" else []
    assert files == sorted(["flag_overlay.png", saved, *described])


def test_a_semantic_record_and_map(build: Builder, picture: Path, capsys: Capture) -> None:
    printed, _ = run(capsys, build(task="semantic"), picture, "--json")
    (image,) = json.loads(printed)["images"]
    semantic = np.asarray(Image.open(image["semantic"]))
    assert (image["task"], image["panoptic"], semantic.dtype.name) == ("semantic", None, "uint8")
    assert [int(semantic[32, column]) for column in (10, 48, 86)] == [0, 3, 2]
    assert image["classes"][0] == {
        "category_id": 0,
        "label": "red",
        "area": int((semantic == 0).sum()),
        "bbox": [0, 0, int((semantic[0] == 0).sum()), 64],
    }


def test_a_record_of_instances(build: Builder, picture: Path, capsys: Capture) -> None:
    printed, _ = run(capsys, build(task="instance"), picture, "--json")
    (image,) = json.loads(printed)["images"]
    saved = json.loads((picture.parent / "out" / "instances.json").read_bytes())
    assert (image["task"], image["semantic"]) == ("instance", None)
    assert [one["label"] for one in image["instances"]] == [one["label"] for one in saved]
    assert [one["score"] for one in image["instances"]] == [one["score"] for one in saved]
    assert {tuple(one["bbox"]) for one in image["instances"]} == {tuple(one["bbox"]) for one in saved}
    assert all(one["area"] == one["bbox"][2] * one["bbox"][3] for one in image["instances"])


def test_all_kinds_can_be_had_of_every_model(tiny: Path, picture: Path, capsys: Capture) -> None:
    _, files = run(capsys, tiny, picture, "--save", "overlay,panoptic,json,semantic,instances")
    assert files == ["flag_overlay.png", "flag_panoptic.png", "flag_semantic.png", "instances.json", "panoptic.json"]


def test_a_threshold_of_0_lists_every_instance(tiny: Path, picture: Path, capsys: Capture) -> None:
    def count(threshold: str) -> int:
        options = ["--task", "instance", "--score-threshold", threshold, "--overwrite"]
        run(capsys, tiny, picture, *options)
        return len(json.loads((picture.parent / "out" / "instances.json").read_bytes()))

    assert 0 == count("1") < count("0.5") < count("0")


def test_nothing_is_saved_unasked_beside_the_live_page(build: Builder, picture: Path, capfd: Capture) -> None:
    assert main([str(build(task="semantic")), str(picture), "--live", "0", "-o", str(picture.parent / "out")]) == 0
    assert "3 classes" in capfd.readouterr().out
    assert not (picture.parent / "out").exists()


def test_other_tasks_are_refused(tiny: Path, picture: Path, capfd: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tiny), str(picture), "--task", "depth"])
    assert (caught.value.code, capfd.readouterr().out) == (2, "")


def test_existing_files_are_refused_before_the_model_is_loaded(build: Builder, picture: Path, capfd: Capture) -> None:
    model, out = build(task="semantic"), picture.parent / "out"
    out.mkdir()
    (out / "flag_semantic.png").write_bytes(b"mine")
    assert main([str(model), str(picture), "-o", str(out)]) == 1
    assert "has flag_semantic.png already" in capfd.readouterr().err
    assert [path.name for path in out.iterdir()] == ["flag_semantic.png"]
