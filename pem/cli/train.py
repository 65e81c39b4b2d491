"""The command ``pem-train``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pem_edge.pem.cli import train_options
from pem_edge.pem.cli.train_options import TrainRequest
from pem_edge.runtime.cli import console
from pem_edge.runtime.errors import OutputError, TrainingError
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.pem import PEM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``, by default those of the process; return its exit code."""
    return console.run(train_options.parser(), train_options.read, _train, arguments)


def _train(request: TrainRequest) -> JsonObject:
    from pem_edge.pem.variants import VARIANTS  # torch takes seconds to import; wrong usage should not

    if request.variant not in VARIANTS:
        raise TrainingError(f"no variant {request.variant!r}, expected one of {', '.join(VARIANTS)}")
    dataset = request.dataset.open()
    from pem_edge.pem.training.processes import joined
    from pem_edge.pem.training.snapshots import NAME
    from pem_edge.pem.training.trainer import Trainer

    if (request.out / NAME).exists() and not (request.resume or request.overwrite):
        raise OutputError(f"{request.out} has a run: add --resume to go on with it, or --overwrite to forget it")
    with joined(request.device) as processes:
        model = _start(request, len(dataset.labels))
        trainer = Trainer(model, dataset, request.settings, request.out, processes)
        if request.resume:
            trainer.resume()
        else:
            trainer.begin()
        trainer.run()
        weights = trainer.save(half=request.half)
    return {"weights": str(weights), "metrics": str(request.out / "metrics.csv")}


def _start(request: TrainRequest, num_classes: int) -> PEM:
    """Return the model before its first step. Raises CheckpointError, TrainingError."""
    import torch

    from pem_edge import pem
    from pem_edge.pem.training.backbone_weights import load_backbone

    if request.weights is not None:
        model = pem.load(request.weights).train()
        if (model.variant, model.num_classes) != (request.variant, num_classes):
            raise TrainingError(
                f"{request.weights} is {model.variant} of {model.num_classes} classes, expected {request.variant} of "
                f"{num_classes}, as the dataset has"
            )
        return model
    torch.manual_seed(request.settings.seed)
    try:
        model = pem.build(request.variant, num_classes, encoder_layers=request.encoder_layers)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if request.backbone is not None:
        load_backbone(model, request.backbone)
    return model


if __name__ == "__main__":
    sys.exit(main())
