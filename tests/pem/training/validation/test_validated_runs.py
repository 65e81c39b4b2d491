"""A run that is validated keeps its best weights, may end early, and can be stopped at any moment."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pem_edge.pem import checkpoints
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.trainer import Trainer
from pem_edge.pem.training.validating import Validation, ValidationSettings
from pem_edge.pem.training.validation.scores import score
from pem_edge.pem.training.validation.torch_segmenter import TorchSegmenter
from pem_edge.runtime.datasets.tasks import for_task
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY

SIZE = (64, 64)
SETTINGS = TrainingSettings(
    steps=6,
    batch=4,
    size=SIZE,
    learning_rate=2e-2,
    backbone_factor=1.0,
    clip=1.0,
    ema=0.0,
    workers=0,
    log_every=3,
    validate_every=1,
    task="semantic",
)
"""A rate at which the mean IoU, which is above 0 from the beginning, goes up and down."""

ALONE = Processes(0, 1, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


def train(folder: Path, settings: TrainingSettings = SETTINGS, val: Boxes | None = None) -> Trainer:
    torch.manual_seed(0)
    dataset, held = (for_task(boxes, "semantic") for boxes in (Boxes(), val or Boxes(3)))
    how = ValidationSettings(size=SIZE, task="semantic", patience=settings.patience, pictures=1)
    validation = Validation(held, how, folder)
    return Trainer(TINY.build(len(LABELS)), dataset, settings, folder, ALONE, validation=validation)


def evaluations(folder: Path) -> list[tuple[int, float]]:
    with (folder / "validation.csv").open(newline="") as file:
        return [(int(row["step"]), float(row["miou"])) for row in csv.DictReader(file)]


def test_the_weights_are_those_of_the_best_evaluation(tmp_path: Path) -> None:
    run = train(tmp_path)
    run.run()
    found = evaluations(tmp_path)
    assert [step for step, _ in found] == [1, 2, 3, 4, 5, 6]
    best = max(miou for _, miou in found)
    assert best > min(miou for _, miou in found)
    model = TINY.build(len(LABELS))
    model.load_state_dict(checkpoints.read(run.save()))
    held = for_task(Boxes(3), "semantic")
    again = score(TorchSegmenter(model, held.labels, SIZE, "semantic"), held, 0, "semantic")
    assert again.record["miou"] == pytest.approx(best, abs=1e-3)


def test_a_run_without_gain_ends_early_and_is_at_its_end_when_it_is_resumed(tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=100, patience=2)
    run = train(tmp_path, settings)
    run.run()
    found = evaluations(tmp_path)
    best = max(found, key=lambda each: each[1])
    assert run.step == found[-1][0] == best[0] + 2 < 100
    again = train(tmp_path, settings)
    again.resume()
    again.run()
    assert (again.step, evaluations(tmp_path)) == (run.step, found)


def test_an_evaluation_that_is_stopped_counts_for_nothing(tmp_path: Path) -> None:
    """Ctrl-C comes in the third evaluation; that of the run that goes on is the same as without."""
    whole = train(tmp_path / "whole")
    whole.run()
    stopped = train(tmp_path / "stopped", val=Boxes(3, interrupt_after=2 * 4 + 2))
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3"):
        stopped.run()
    assert len(evaluations(tmp_path / "stopped")) == 2
    resumed = train(tmp_path / "stopped")
    resumed.resume()
    assert resumed.step == 3
    resumed.run()
    assert evaluations(tmp_path / "stopped") == evaluations(tmp_path / "whole")
    expected = checkpoints.read(whole.save())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in checkpoints.read(resumed.save()).items())
