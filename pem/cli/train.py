"""Entry point of the ``pem-train`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.pem.cli import train_options
from pem_edge.pem.cli.train_options import TrainRequest
from pem_edge.runtime.cli import console
from pem_edge.runtime.errors import OutputError, TrainingError
from pem_edge.runtime.files import exclusively, make_folder
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.pem import PEM
    from pem_edge.pem.training.processes import Processes


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

    if (request.out / FILE_NAME).exists() and not (request.resume or request.overwrite):
        raise OutputError(f"{request.out} contains a run: add --resume to continue it, or --overwrite to delete it")
    with join_processes(request.device) as processes, _alone_in(request.out, processes):
        model = _initialize_model(request, len(dataset.labels))
        trainer = Trainer(model, dataset, request.settings, request.out, processes)
        if request.resume:
            trainer.resume()
        else:
            trainer.delete_earlier_run()
        trainer.run()
        weights = trainer.save(half=request.half)
    return {"weights": str(weights), "metrics": str(request.out / "metrics.csv")}


def _alone_in(folder: Path, processes: Processes) -> AbstractContextManager[None]:
    """Return the context in which no other training may write to ``folder``."""
    make_folder(folder)
    return exclusively(folder / "metrics.csv", "a training") if processes.is_main else nullcontext()


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
