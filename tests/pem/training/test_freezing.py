"""A frozen backbone stays as it is, and what it computes is not kept for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.batchnorm import _BatchNorm

from pem_edge.pem.model import PEM
from pem_edge.pem.training.optimization import freeze
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.trainer import Trainer
from pem_edge.pem.variants.pyramid import PyramidVariant
from tests.helpers.boxes import LABELS, Boxes
from tests.helpers.tiny import TINY, TINY_MASK2FORMER

ALONE = Processes(0, 1, 1, torch.device("cpu"))
SETTINGS = TrainingSettings(steps=2, batch=2, size=(64, 64), learning_rate=3e-3, backbone_factor=1.0, workers=0)

variants = pytest.mark.parametrize("variant", [TINY, TINY_MASK2FORMER], ids=lambda row: row.name)


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.inference_mode(False):
        yield


def saved_by_backbone(model: PEM) -> int:
    """Return how many tensors the backbone keeps for a backward pass."""
    saved: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        model.backbone(model.normalize(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)))
    return len(saved)


@variants
def test_a_frozen_backbone_keeps_nothing_for_the_backward_pass(variant: PyramidVariant) -> None:
    model = variant.build(len(LABELS)).train()
    assert saved_by_backbone(model) > 20
    freeze(model, "backbone")
    assert saved_by_backbone(model.train()) == 0


@variants
@pytest.mark.parametrize("qat", [False, True])
def test_training_changes_all_but_a_frozen_backbone(variant: PyramidVariant, qat: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = variant.build(len(LABELS)).train()
    freeze(model, "backbone")
    before = deepcopy(model.state_dict())
    trainer = Trainer(model, Boxes(), replace(SETTINGS, qat=qat), tmp_path / "run", ALONE)
    trainer.run()
    for state in (trainer.stepper.model.state_dict(), trainer.stepper.average.model.state_dict()):
        kept = {name for name, tensor in state.items() if torch.equal(tensor, before[name])}
        assert {name for name in state if name.startswith("backbone.")} <= kept
        assert not any(name.startswith("decoder.") and name.endswith("weight") for name in kept)


def test_batchnorm_stays_in_evaluation_mode_through_train() -> None:
    model = TINY.build(len(LABELS))
    freeze(model, "backbone")
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(model))  # type: ignore[no-untyped-call]
    for copy in (model, deepcopy(model), synchronized):
        copy.train()
        norms = {name: each.training for name, each in copy.named_modules() if isinstance(each, _BatchNorm)}
        assert {training for name, training in norms.items() if name.startswith("backbone.")} == {False}
        assert {training for name, training in norms.items() if not name.startswith("backbone.")} == {True}


def test_a_backbone_that_learns_has_both_modes() -> None:
    model = TINY.build(len(LABELS)).train()
    assert all(module.training for module in model.modules())
    assert not any(module.training for module in model.eval().modules())
