"""Images without any segment train a model as well as they can: to find nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import AUGMENTATIONS, TrainingSettings
from pem_edge.pem.training.trainer import Trainer
from pem_edge.pem.variants.pyramid import PyramidVariant
from pem_edge.runtime.datasets.dataset import Sample
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY, TINY_MASK2FORMER

SETTINGS = TrainingSettings(
    steps=3, batch=2, size=(64, 64), learning_rate=3e-3, workers=0, log_every=1, augmentations=AUGMENTATIONS
)
ALONE = Processes(0, 1, 1, torch.device("cpu"))


class Void(Boxes):
    """Two images, of which the first ``labeled`` ones have segments."""

    def __init__(self, labeled: int) -> None:
        super().__init__(2)
        self._labeled = labeled

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if index < self._labeled:
            return sample
        return replace(sample, panoptic=np.zeros_like(sample.panoptic), segments=[])


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


@pytest.mark.parametrize("variant", [TINY, TINY_MASK2FORMER], ids=lambda row: row.name)
@pytest.mark.parametrize("labeled", [0, 1])
def test_weights_stay_finite(variant: PyramidVariant, labeled: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trainer = Trainer(variant.build(len(LABELS)), Void(labeled), SETTINGS, tmp_path / "run", ALONE)
    trainer.run()
    for model in (trainer.stepper.model, trainer.stepper.average.model):
        assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        masks = [float(row["mask"]) for row in csv.DictReader(file)]
    assert len(masks) == 3
    assert all(loss == 0 for loss in masks) == (labeled == 0)
