"""The options of ``pem-train``, and the request that they are read into."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from pem_edge.pem.cli import checkpoint_options
from pem_edge.pem.training.settings import MAX_SEED, QAT_SETTINGS, SNAPSHOT, TrainingSettings
from pem_edge.runtime.cli import dataset_options, shared_options
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.files.output_folder import newest_run

VARIANT = "pem-r50"
"""The variant that is trained if nothing says which."""

_T = TypeVar("_T")

DESCRIPTION = "Train a model from scratch, from the weights of a backbone, or from a checkpoint."
_EXAMPLES = """
pem-train --variant pem-stdc1 --dataset cityscapes/train -o out
torchrun --nproc-per-node 4 --no-python pem-train --variant pem-r50 --dataset ade20k/train -o out
pem-train --variant pem-nano --dataset toy:4000 --size 256x512 --steps 5000 --batch 8 -o out
pem-train --weights facebook/mask2former-swin-tiny-coco-panoptic --dataset DIR --batch 8 --steps 5000 -o out
pem-train --variant pem-stdc1 --dataset cityscapes/train --weights out/pem-stdc1.safetensors --qat -o qat
"""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A training run that ``pem-train`` is asked for.

    Attributes:
        dataset: Location of the labeled images.
        settings: Settings of the run.
        out: Folder of the run; None for a new one.
        variant: Name of the variant to train; None for that of ``weights`` or of the run to resume, else `VARIANT`.
        encoder_layers: Number of encoder layers as in `pem.build`; None for the variant's.
        backbone: Weights of the backbone to start from: a file, a folder that transformers wrote, or the name of a
            model on the Hugging Face hub; None for random weights.
        weights: Checkpoint of the whole model to start from: the same, or "demo"; None for random weights.
        revision: A branch, tag or commit of ``weights`` on the hub; None for the newest.
        part: The name of one of several sets of weights in ``weights``; None for the usual one.
        resume: Whether to continue the run in ``out``, whose own weights then count.
        given: Names of the settings that were asked for; of a run that is resumed, all others stay as they were.
        overwrite: Whether to delete a run in ``out`` first.
        half: Whether to write the final weights in half precision.
        device: "cpu", "cuda" or "cuda:N"; None for "cuda" if available.

    Raises:
        TrainingError: If two of these contradict each other.
    """

    dataset: DatasetLocation
    settings: TrainingSettings
    out: Path | None
    variant: str | None = None
    encoder_layers: tuple[int, int, int] | None = None
    backbone: str | None = None
    weights: str | None = None
    revision: str | None = None
    part: str | None = None
    resume: bool = False
    given: frozenset[str] = frozenset()
    overwrite: bool = False
    half: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        self._check_folder()
        if self.resume and self.overwrite:
            raise TrainingError("--resume continues the run that --overwrite deletes: leave out one of them")
        if self.backbone is not None and self.weights is not None:
            raise TrainingError("--weights include a backbone: leave out --backbone, or start without --weights")
        if self.settings.qat and self.weights is None and not self.resume:
            raise TrainingError("--qat needs trained weights to start from: give them with --weights CHECKPOINT")
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


def read(options: argparse.Namespace) -> TrainRequest:
    """Return the request that the parsed options make. Raises TrainingError, InputError."""
    return TrainRequest(
        variant=options.variant,
        encoder_layers=options.encoder_layers,
        settings=_read_settings(options),
        dataset=dataset_options.read(options),
        backbone=options.backbone,
        weights=options.weights,
        revision=options.revision,
        part=options.part,
        out=options.out,
        resume=options.resume,
        given=frozenset(
            each.name for each in fields(TrainingSettings) if getattr(options, each.name, None) is not None
        ),
        overwrite=options.overwrite,
        half=options.half,
        device=options.device,
    )


def _read_settings(options: argparse.Namespace) -> TrainingSettings:
    defaults = QAT_SETTINGS if options.qat else TrainingSettings()
    from_scratch = options.backbone is None and options.weights is None and not options.qat
    return TrainingSettings(
        steps=_choose(options.steps, defaults.steps),
        batch=_choose(options.batch, defaults.batch),
        size=_choose(options.size, defaults.size),
        learning_rate=_choose(options.learning_rate, defaults.learning_rate),
        backbone_factor=_choose(options.backbone_factor, 1.0 if from_scratch else defaults.backbone_factor),
        weight_decay=_choose(options.weight_decay, defaults.weight_decay),
        warmup=_choose(options.warmup, defaults.warmup),
        clip=_choose(options.clip, defaults.clip),
        scale=_choose(options.scale, defaults.scale),
        points=_choose(options.points, defaults.points),
        ema=_choose(options.ema, defaults.ema),
        seed=_choose(options.seed, defaults.seed),
        precision=_choose(options.precision, defaults.precision),
        qat=bool(options.qat),
        workers=options.workers,
        log_every=_choose(options.log_every, defaults.log_every),
        picture_every=_choose(options.picture_every, defaults.picture_every),
        checkpoint_minutes=_choose(options.checkpoint_minutes, defaults.checkpoint_minutes),
    )


def _choose(given: _T | None, default: _T) -> _T:
    return default if given is None else given


def parser() -> Parser:
    """Return the parser of ``pem-train``'s arguments."""
    parser = Parser("pem-train", "--dataset DIR [options]", DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "--variant", help=f"one of those that pem-export --list shows (default: that of --weights, else {VARIANT})"
    )
    parser.add_argument(
        "--encoder-layers",
        type=_encoder_layers,
        metavar="A,B,C",
        help="layers of a transformer encoder: over stride 32, over 32 and 16, over all (PRO-SCALE: 3,3,3; "
        "Mask2Former: 0,0,6)",
    )
    parser.add_argument("-o", "--out", type=shared_options.path, metavar="DIR", help="default: a new folder, runs/N")
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR as if it had never stopped")
    parser.add_argument("--overwrite", action="store_true", help="delete the run in DIR first")
    parser.add_argument("--half", action="store_true", help="write the final weights in half precision")
    parser.add_argument("--device", help="cpu or cuda; default: cuda if there is a GPU")
    dataset_options.add(parser)
    _add_start(parser.add_argument_group("initial weights; default: random"))
    _add_recipe(parser.add_argument_group("recipe; the defaults are those of the paper for Cityscapes"))
    _add_reporting(parser.add_argument_group("progress and checkpoints"))
    return parser


def _add_start(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--backbone",
        type=shared_options.named,
        metavar="CHECKPOINT",
        help="weights of the backbone alone, trained on ImageNet: a ResNet or Swin Transformer of torchvision, timm, "
        "transformers (a file, a folder, or a name on the hub) or Swin's authors, or a published STDC",
    )
    group.add_argument(
        "--weights",
        type=shared_options.named,
        metavar="CHECKPOINT",
        help=f"weights of a whole model: {checkpoint_options.CHECKPOINT}. The class head starts anew if its classes "
        "are not the dataset's",
    )
    checkpoint_options.add_choice(group)


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--qat",
        action="store_true",
        default=None,
        help="fine-tune --weights in simulated INT8: 2000 steps, learning rate 0.00007",
    )
    add("--steps", type=shared_options.whole(0), help="optimizer steps (90000)")
    add("--batch", type=shared_options.whole(0), help="images per step, over all GPUs (32)")
    add("--size", type=shared_options.size, metavar="HxW", help="size of the crops (512x1024)")
    add("--scale", type=_range, metavar="A:B", help="range of factors by which images are enlarged (0.5:2)")
    add("--learning-rate", type=shared_options.number, metavar="X", help="maximum learning rate (0.0007)")
    add(
        "--backbone-factor",
        type=shared_options.number,
        metavar="X",
        help="learning rate factor of the backbone (0.1; 1 from scratch)",
    )
    add(
        "--weight-decay",
        type=shared_options.number,
        metavar="X",
        help="weight decay, except of norms, biases and embeddings (0.05)",
    )
    add(
        "--warmup",
        type=shared_options.whole(0),
        metavar="N",
        help="steps in which the learning rate rises to its maximum (10)",
    )
    add(
        "--clip",
        type=shared_options.number,
        metavar="X",
        help="maximum norm of the gradient (0.01); from scratch try 0.1 or 1",
    )
    add(
        "--points",
        type=shared_options.whole(0),
        metavar="N",
        help="points at which a mask is supervised (12544, fewer for small images)",
    )
    add("--ema", type=shared_options.number, metavar="X", help="decay of the moving average of the weights (0.9998)")
    add("--seed", type=shared_options.whole(0, MAX_SEED), help="seed of weights, order of images and augmentations (0)")
    add("--precision", choices=["auto", "fp32", "bf16"], help="auto: bf16 on a GPU, else fp32")
    add("--workers", type=shared_options.whole(0), metavar="N", help="processes that prepare images (number of cores)")


def _add_reporting(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--log-every", type=shared_options.whole(0), metavar="N", help="steps between lines of metrics (20)"
    )
    group.add_argument(
        "--picture-every", type=shared_options.whole(0), metavar="N", help="steps between sample images (500)"
    )
    group.add_argument(
        "--checkpoint-minutes", type=shared_options.number, metavar="N", help="minutes between checkpoints (10)"
    )


def _encoder_layers(text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"\d{1,2},\d{1,2},\d{1,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be three numbers of layers, such as 3,3,3")
    first, second, third = (int(part) for part in text.split(","))
    return first, second, third


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a range of factors, such as 0.5:2") from None
    return low, high
