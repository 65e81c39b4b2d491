"""The request that ``pem-train`` is given."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pem_edge.pem.training.settings import SNAPSHOT, TrainingSettings
from pem_edge.runtime.cli import dataset_options
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.files.output_folder import newest_run
from pem_edge.runtime.outside.printable import brief


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A training run that ``pem-train`` is asked for.

    Attributes:
        dataset: Location of the labeled images.
        given: The settings that were asked for, by their names in `TrainingSettings`; all others are the recipe's for
            this dataset and machine or, of a run that is resumed, stay as they were.
        out: Folder of the run; None for a new one.
        val: Location of the labeled images that tell how good the model is, or the fraction of ``dataset``, above 0 and
            below 1, that is set aside for this; None for no validation.
        variant: Name of the variant to train; None for that of ``weights`` or of the run to resume, else the usual one.
        encoder_layers: Number of encoder layers as in `pem.build`; None for the variant's.
        backbone: Weights of the backbone to start from: a file, a folder that transformers wrote, or the name of a
            model on the Hugging Face hub; None for random weights.
        weights: Checkpoint of the whole model to start from: the same, or "demo"; None for random weights.
        revision: A branch, tag or commit of ``weights`` on the hub; None for the newest.
        part: The name of one of several sets of weights in ``weights``; None for the usual one.
        minutes: About how long the training may take, instead of a number of steps; None for as long as the recipe.
        resume: Whether to continue the run in ``out``, whose own weights then count.
        overwrite: Whether to delete a run in ``out`` first.
        half: Whether to write the final weights in half precision.
        export: Whether to export the final weights to ONNX.
        tensorboard: Whether to write metrics for TensorBoard, too.
        device: "cpu", "cuda" or "cuda:N"; None for "cuda" if available.

    Raises:
        TrainingError: If two of these contradict each other, or a setting is out of its range.
    """

    dataset: DatasetLocation
    given: Mapping[str, object]
    out: Path | None
    val: DatasetLocation | float | None = None
    variant: str | None = None
    encoder_layers: tuple[int, int, int] | None = None
    backbone: str | None = None
    weights: str | None = None
    revision: str | None = None
    part: str | None = None
    minutes: float | None = None
    resume: bool = False
    overwrite: bool = False
    half: bool = False
    export: bool = True
    tensorboard: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        TrainingSettings(**self.given)  # type: ignore[arg-type]  # which checks them
        self._check_folder()
        self._check_start()
        self._check_device()
        if self.resume and self.overwrite:
            raise TrainingError("--resume continues the run that --overwrite deletes: leave out one of them")
        if self.minutes is not None and self.resume:
            raise TrainingError("--minutes plans a new run, and --resume goes on with one: give --steps N instead")
        if self.minutes is not None and "steps" in self.given:
            raise TrainingError("--minutes determines the steps: leave out --steps, or --minutes")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise TrainingError(f"--minutes is {self.minutes:g}, expected above 0 and below 1000000")
        if self.val is None and not self.resume and {"patience", "validate_every"} & self.given.keys():
            raise TrainingError("--patience and --validate-every belong to --val: add --val DIR, or --val 10%")

    def _check_start(self) -> None:
        if self.backbone is not None and self.weights is not None:
            raise TrainingError("--weights include a backbone: leave out --backbone, or start without --weights")
        if self.given.get("qat") and self.weights is None and not self.resume:
            raise TrainingError("--qat needs trained weights to start from: give them with --weights CHECKPOINT")
        if self.given.get("freeze") and self.weights is None and self.backbone is None and not self.resume:
            raise TrainingError("--freeze keeps weights as they are, and these are random: add --weights or --backbone")
        for option, value in (("--revision", self.revision), ("--part", self.part)):
            if value is not None and self.weights is None:
                raise TrainingError(f"{option} belongs to --weights: give both, or leave out {option}")
        if self.weights is not None and self.encoder_layers is not None:
            raise TrainingError("--weights determine --encoder-layers: leave them out, or start without --weights")

    def _check_folder(self) -> None:
        if self.out is not None:
            return
        if self.resume:
            raise TrainingError(f"--resume needs the folder of the run: add -o {newest_run(SNAPSHOT) or 'DIR'}")
        if os.environ.get("WORLD_SIZE", "1") != "1":  # set by torchrun
            raise TrainingError("processes that train together need one folder: add -o DIR")

    def _check_device(self) -> None:
        if self.device is not None and not re.fullmatch(r"cpu|cuda(?::(0|[1-9]\d{0,2}))?", self.device):
            raise TrainingError(f"--device is {self.device}, expected cpu, cuda, or one GPU of several, such as cuda:1")


def read(options: argparse.Namespace) -> TrainRequest:
    """Return the request that the parsed options make. Raises TrainingError, InputError."""
    dataset = dataset_options.read(options)
    named = {each.name: getattr(options, each.name, None) for each in fields(TrainingSettings)}
    return TrainRequest(
        dataset=dataset,
        given={name: value for name, value in named.items() if value is not None},
        out=options.out,
        val=_read_validation(options, dataset),
        variant=options.variant,
        encoder_layers=options.encoder_layers,
        backbone=options.backbone,
        weights=options.weights,
        revision=options.revision,
        part=options.part,
        minutes=options.minutes,
        resume=options.resume,
        overwrite=options.overwrite,
        half=options.half,
        export=options.export,
        tensorboard=options.tensorboard,
        device=options.device,
    )


def _read_validation(options: argparse.Namespace, dataset: DatasetLocation) -> DatasetLocation | float | None:
    """Return where the validation's images are. Raises TrainingError, InputError."""
    text = options.val or ""
    if re.fullmatch(r"0?\.\d+", text):
        raise TrainingError(f"--val is {text}, expected a dataset or a part of one: give {float(text):.0%}")
    if not text.endswith("%") or options.val_split is not None:
        return dataset_options.read_validation(options, dataset)
    try:
        fraction = float(text[:-1]) / 100
    except ValueError:
        fraction = -1.0
    if not 0 < fraction < 1:
        raise TrainingError(f"--val is {brief(text)}, expected above 0% and below 100%, or a dataset")
    return fraction
