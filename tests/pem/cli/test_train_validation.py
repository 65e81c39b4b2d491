"""What ``pem-train`` says of the images to validate on, before it looks at anything else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.runtime.datasets.layouts.folders import halves, picture, save

Run = Callable[..., tuple[int, str, str]]
SPENT = ("--weights", "/nowhere.pth")
"""Ends a run once its images are chosen."""


def test_notes_of_both_sides_are_said_once(run: Run, tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / split / "images" / "a.png")
        picture(tmp_path / split / "images" / "lone.png")
        save(tmp_path / split / "labels" / "a.png", halves(0, 1))
    (tmp_path / "classes.txt").write_text("floor\nwidget\n")
    _, _, said = run("--dataset", f"labels:{tmp_path}:train", "--val-split", "val", "--things", "widget", *SPENT)
    assert said.count("each connected region of a thing (widget) is taken for an instance") == 1
    for mark, split in (("", "train"), ("validation: ", "val")):
        assert f"pem-train: {mark}1 image of {tmp_path}/{split}/images has no map, 'lone.png': left out\n" in said


def test_copies_on_both_sides_of_a_division_are_told(run: Run, folder: Path, tmp_path: Path) -> None:
    copies = shutil.copytree(folder, tmp_path / "copies")
    assert "trained on, too" not in run("--dataset", str(copies), "--val", "20%", *SPENT)[2]
    for number in range(1, 6):
        shutil.copy(copies / "images" / "0.png", copies / "images" / f"{number}.png")
    assert (
        "of 1 image for validation, 1 are trained on, too" in run("--dataset", str(copies), "--val", "20%", *SPENT)[2]
    )
