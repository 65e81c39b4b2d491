"""The start of a run of ``pem-train``: an earlier run, a checkpoint, the weights of a backbone, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pem_edge import pem
from pem_edge.pem.checkpoints import open_checkpoint
from pem_edge.pem.cli.train_parser import VARIANT
from pem_edge.pem.cli.train_request import TrainRequest
from pem_edge.pem.model import PEM
from pem_edge.pem.training import snapshots, start
from pem_edge.pem.training.backbone_weights import load_backbone
from pem_edge.pem.training.planning import recipes
from pem_edge.pem.training.planning.recipes import Recipe
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.progress import Say


@dataclass(frozen=True)
class Start:
    """The start of a run.

    Attributes:
        model: The model, in training mode.
        spdx: The license that its weights are under; None if there is none.
    """

    model: PEM
    spdx: str | None = None


def recipe_for(request: TrainRequest) -> Recipe:
    """Return the recipe for the purpose of a new run."""
    if request.given.get("qat"):
        return recipes.QAT
    if request.weights is not None:
        return recipes.FINE_TUNING
    return recipes.FROM_SCRATCH if request.backbone is None else recipes.FROM_BACKBONE


def find_start(
    request: TrainRequest, labels: Sequence[Label], earlier: tuple[Snapshot, Path] | None, say: Say
) -> Start:
    """Return what a run on images of ``labels`` starts with, which is the ``earlier`` run if there is one.

    Raises:
        CheckpointError: If weights or the snapshot are damaged, do not fit, or are missing.
        TrainingError: If they are of another variant than the one asked for, or of a family that is not trained.
    """
    if earlier is not None:
        return _earlier_run(request, *earlier)
    torch.manual_seed(int(request.given.get("seed", TrainingSettings.seed)))  # type: ignore[call-overload]  # a checked setting
    if request.weights is not None:
        return _from_checkpoint(request, request.weights, labels, say)
    start.require_trainable_variant(request.variant or VARIANT)
    try:
        built = pem.build(request.variant or VARIANT, len(labels), encoder_layers=request.encoder_layers)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    model = start.require_trainable(built)
    if request.backbone is not None:
        load_backbone(model, request.backbone, say)
    return Start(model)


def _earlier_run(request: TrainRequest, snapshot: Snapshot, path: Path) -> Start:
    """Return a model like that of the run to resume, which `Trainer.resume` will fill."""
    model = start.rebuild(snapshot, path)
    if request.variant is not None:
        snapshots.check_same("variant", model.variant, request.variant)
    if request.encoder_layers is not None:
        snapshots.check_same("encoder layers", str(start.encoder_layers(model)), str(request.encoder_layers))
    return Start(model)


def _from_checkpoint(request: TrainRequest, weights: str, labels: Sequence[Label], say: Say) -> Start:
    checkpoint = open_checkpoint(weights, say, revision=request.revision, part=request.part, asks=())
    model = start.require_trainable(checkpoint.model).train()
    if request.variant not in (None, model.variant):
        raise TrainingError(
            f"{weights} is {model.variant}, expected {request.variant}: leave out --variant, or give other weights"
        )
    start.fit_class_head(checkpoint, labels, say, must_stay=bool(request.given.get("qat")))
    return Start(model, checkpoint.description.license)
