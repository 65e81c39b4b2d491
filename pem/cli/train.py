"""Entry point of the ``pem-train`` command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pem_edge.pem.cli import train_options
from pem_edge.pem.cli.train_options import VARIANT, TrainRequest
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime import files
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.cli import console, signals
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import OutputError, TrainingError
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.progress import Say
from pem_edge.runtime.suggestions import no_such
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.pem import PEM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``pem-train`` and return its exit code; ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(train_options.parser(), train_options.read, _train, arguments)


def _train(request: TrainRequest) -> JsonObject:
    if find_spec("torch") is None:
        raise TrainingError(f"training needs PyTorch, which is not installed: {how_to_install('train')}")
    from pem_edge.pem.variants import VARIANTS  # here, so that wrong usage is reported before torch is imported

    if request.variant is not None and request.variant not in VARIANTS:
        raise TrainingError(f"--variant: {no_such(request.variant, VARIANTS)}")
    dataset = request.dataset.open()
    with for_outputs(request.out) as folder:
        return _train_in(folder, request, dataset)


def _train_in(folder: Path, request: TrainRequest, dataset: Dataset) -> JsonObject:
    with signals.held():  # an exception that passes through torch's C++ modules, half imported, aborts the process
        from pem_edge.pem.training.processes import join_processes
        from pem_edge.pem.training.reporting import progress
        from pem_edge.pem.training.snapshots import FILE_NAME
        from pem_edge.pem.training.trainer import Trainer

    checkpoint = folder / FILE_NAME
    _refuse_to_replace(checkpoint, request)
    with join_processes(request.device) as processes, files.claim(checkpoint) if processes.is_main else nullcontext():
        _refuse_to_replace(checkpoint, request)  # which may have been written while torch was imported
        say = progress.say if processes.is_main else _say_nothing
        start = _earlier_run(request, checkpoint) if request.resume else _new_run(request, dataset.labels, say)
        trainer = Trainer(start.model, dataset, start.settings, folder, processes, start.spdx)
        if request.resume:
            trainer.resume()
        else:
            trainer.delete_earlier_run()
        trainer.run()
        weights = trainer.save(half=request.half)
        following = _export_command(weights)
        say(f"{weights} has the weights, {folder / 'metrics.csv'} the metrics; next: {following}")
    return {"weights": str(weights), "metrics": str(folder / "metrics.csv")}


def _export_command(weights: Path) -> str:
    return shlex.join(["pem-export", "--weights", str(weights), "--to", "onnx", "-o", str(weights.parent)])


def _refuse_to_replace(checkpoint: Path, request: TrainRequest) -> None:
    """Raise OutputError if there is a checkpoint, and the run is neither to continue it nor to delete it."""
    if checkpoint.exists() and not (request.resume or request.overwrite):
        raise OutputError(
            f"{checkpoint.parent} contains a run: add --resume to continue it, or --overwrite to delete it"
        )


@dataclass(frozen=True)
class _Start:
    """What a run starts with: the model, the settings, and the license that the weights are under."""

    model: PEM
    settings: TrainingSettings
    spdx: str | None = None


def _earlier_run(request: TrainRequest, path: Path) -> _Start:
    """Return a model like that of the run to resume, which `Trainer.resume` will fill. Raises as that does."""
    from pem_edge.pem.training import snapshots, start

    snapshot = snapshots.load(path)
    model = start.rebuild(snapshot, path)
    if request.variant is not None:
        snapshots.check_same("variant", model.variant, request.variant)
    if request.encoder_layers is not None:
        snapshots.check_same("encoder layers", str(start.encoder_layers(model)), str(request.encoder_layers))
    return _Start(model, snapshots.continued(snapshot, path, request.settings, request.given))


def _new_run(request: TrainRequest, labels: Sequence[Label], say: Say) -> _Start:
    """Return the model with its initial weights. Raises CheckpointError, TrainingError."""
    import torch

    from pem_edge import pem
    from pem_edge.pem.training.backbone_weights import load_backbone
    from pem_edge.pem.training.start import require_trainable

    torch.manual_seed(request.settings.seed)
    if request.weights is not None:
        return _from_checkpoint(request, request.weights, labels, say)
    try:
        built = pem.build(request.variant or VARIANT, len(labels), encoder_layers=request.encoder_layers)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    model = require_trainable(built)
    if request.backbone is not None:
        load_backbone(model, request.backbone, say)
    return _Start(model, request.settings)


def _from_checkpoint(request: TrainRequest, weights: str, labels: Sequence[Label], say: Say) -> _Start:
    from pem_edge.pem.checkpoints import open_checkpoint
    from pem_edge.pem.training.start import fit_class_head, require_trainable

    checkpoint = open_checkpoint(weights, say, revision=request.revision, part=request.part, asks=())
    model = require_trainable(checkpoint.model).train()
    if request.variant not in (None, model.variant):
        raise TrainingError(
            f"{weights} is {model.variant}, expected {request.variant}: leave out --variant, or give other weights"
        )
    fit_class_head(checkpoint, labels, say, must_stay=request.settings.qat)
    return _Start(model, request.settings, checkpoint.description.license)


def _say_nothing(_text: str) -> None:
    """Leave it to the main process to say it."""


if __name__ == "__main__":
    sys.exit(main())
