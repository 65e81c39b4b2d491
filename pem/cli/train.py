"""Entry point of the ``pem-train`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.pem.cli import train_options
from pem_edge.pem.cli.train_options import TrainRequest
from pem_edge.runtime import files
from pem_edge.runtime.cli import console
from pem_edge.runtime.errors import OutputError, TrainingError
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.pem import PEM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``pem-train`` and return its exit code; ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(train_options.parser(), train_options.read, _train, arguments)


def _train(request: TrainRequest) -> JsonObject:
    from pem_edge.pem.variants import VARIANTS  # here, so that wrong usage is reported before torch is imported

    if request.variant not in VARIANTS:
        raise TrainingError(f"no variant {request.variant!r}, expected one of {', '.join(VARIANTS)}")
    dataset = request.dataset.open()
    from pem_edge.pem.training.processes import join_processes
    from pem_edge.pem.training.snapshots import FILE_NAME
    from pem_edge.pem.training.trainer import Trainer

    checkpoint = request.out / FILE_NAME
    _refuse_to_replace(checkpoint, request)
    with join_processes(request.device) as processes:
        model = _initialize_model(request, len(dataset.labels))
        trainer = Trainer(model, dataset, request.settings, request.out, processes)
        with files.claim(checkpoint) if processes.is_main else nullcontext():
            _refuse_to_replace(checkpoint, request)  # which may have been written while torch was imported
            if request.resume:
                trainer.resume()
            else:
                trainer.delete_earlier_run()
            trainer.run()
            weights = trainer.save(half=request.half)
    return {"weights": str(weights), "metrics": str(request.out / "metrics.csv")}


def _refuse_to_replace(checkpoint: Path, request: TrainRequest) -> None:
    """Raise OutputError if there is a checkpoint, and the run is neither to continue it nor to delete it."""
    if checkpoint.exists() and not (request.resume or request.overwrite):
        raise OutputError(f"{request.out} contains a run: add --resume to continue it, or --overwrite to delete it")


def _initialize_model(request: TrainRequest, num_classes: int) -> PEM:
    """Return the model with its initial weights. Raises CheckpointError, TrainingError."""
    import torch

    from pem_edge import pem
    from pem_edge.pem.training.backbone_weights import load_backbone
    from pem_edge.pem.training.progress import say

    if request.weights is not None:
        model = pem.load(request.weights, say).train()
        if (model.variant, model.num_classes) != (request.variant, num_classes):
            raise TrainingError(
                f"{request.weights} is {model.variant} with {model.num_classes} classes, expected {request.variant} "
                f"with {num_classes}, the number of the dataset"
            )
        return model
    torch.manual_seed(request.settings.seed)
    try:
        model = pem.build(request.variant, num_classes, encoder_layers=request.encoder_layers)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if request.backbone is not None:
        load_backbone(model, request.backbone, say)
    return model


if __name__ == "__main__":
    sys.exit(main())
