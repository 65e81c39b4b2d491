"""A run's validation writes what it finds, stops when asked to, and goes on as if it had never stopped."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from pem_edge.pem.model import PEM
from pem_edge.pem.training.validating import COLUMNS, Validation, ValidationSettings, delete_outputs
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY

SETTINGS = ValidationSettings(size=(64, 64), patience=3, pictures=2, title="Training of tiny")


@pytest.fixture
def model() -> PEM:
    torch.manual_seed(0)
    return TINY.build(len(LABELS)).eval()


def validation(folder: Path, settings: ValidationSettings = SETTINGS) -> Validation:
    return Validation(Boxes(5), settings, folder)


def rows(folder: Path) -> list[list[str]]:
    with (folder / "validation.csv").open(newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_evaluation_leaves_a_row_pictures_and_a_page(model: PEM, tmp_path: Path) -> None:
    run = validation(tmp_path)
    scores = run.evaluate(model, 500)
    assert run.improved
    assert run.best.scores is run.latest is scores
    assert rows(tmp_path)[0] == list(COLUMNS[:-1])
    assert [row[0] for row in rows(tmp_path)[1:]] == ["500"]
    small = {f"pictures/small/{kind}/{number}.jpg" for kind in ("truth", "step-000500") for number in (1, 2)}
    assert files(tmp_path) == {"validation.csv", "report.html", "pictures/step-000500.png", *small}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<img") == 4
    assert "Training of tiny" in page
    delete_outputs(tmp_path)
    assert files(tmp_path) == set()


def test_a_resumed_validation_equals_one_that_never_stopped(model: PEM, tmp_path: Path) -> None:
    whole, stopped = validation(tmp_path / "whole"), validation(tmp_path / "stopped")
    for run in (whole, stopped):
        run.evaluate(model, 1)
        run.evaluate(model, 2)
    torch.save(stopped.state(), tmp_path / "state.pth")
    stopped.evaluate(model, 3)  # after the snapshot
    resumed = validation(tmp_path / "stopped")
    resumed.restore(torch.load(tmp_path / "state.pth", weights_only=True))
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")
    assert (resumed.improved, resumed.best.exhausted) == (False, False)
    for run in (whole, resumed):
        run.evaluate(model, 3)
        run.evaluate(model, 4)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    assert resumed.best.exhausted
    assert resumed.best.scores is not None
    assert resumed.best.scores.step == 1


def test_an_interrupted_evaluation_counts_for_nothing(model: PEM, tmp_path: Path) -> None:
    run = Validation(Boxes(5, interrupt_after=3), SETTINGS, tmp_path)
    before = run.state()
    with pytest.raises(KeyboardInterrupt):
        run.evaluate(model, 1)
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt, match="stopped during an evaluation"):
        run.evaluate(model, 1, stop=lambda: next(asked))
    assert run.state() == before
    assert files(tmp_path) == set()


def test_the_state_of_another_dataset_chooses_its_images_anew(model: PEM, tmp_path: Path) -> None:
    run = validation(tmp_path)
    run.evaluate(model, 1)
    state = run.state() | {"shown": [3, 900]}
    resumed = validation(tmp_path)
    resumed.restore(state)
    resumed.evaluate(model, 2)
    assert all(index < 5 for index in resumed.state()["shown"])
