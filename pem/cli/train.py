"""``pem-train``: train a model from scratch, from a backbone's weights, or on from a checkpoint."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pem_edge.runtime.cli import console
from pem_edge.runtime.datasets import opening
from pem_edge.runtime.errors import OutputError, TrainingError

if TYPE_CHECKING:
    from pem_edge.pem import PEM
    from pem_edge.pem.training import Settings

_EXAMPLES = """examples:
  pem-train --variant pem-stdc1 --dataset cityscapes/train -o out
  torchrun --nproc-per-node 4 --no-python pem-train --variant pem-r50 --dataset ade20k/train -o out
  pem-train --variant pem-nano --dataset toy:4000 --size 256x512 --steps 5000 --batch 8 -o out
  pem-train --variant pem-stdc1 --dataset cityscapes/train --weights out/pem-stdc1.safetensors --qat -o qat"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return console.run(_parser(), _train, arguments)


def _parser() -> console.Parser:
    parser = console.Parser(prog="pem-train", description=__doc__, epilog=_EXAMPLES)
    parser.add_argument("--variant", default="pem-r50", help="one of pem-export --list (%(default)s)")
    parser.add_argument(
        "--encoder-layers",
        type=_depths,
        metavar="A,B,C",
        help="of a transformer encoder: over stride 32, 32 and 16, all (PRO-SCALE: 3,3,3; Mask2Former: 0,0,6)",
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("out"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--resume", action="store_true", help="go on with the run in DIR, as if it had never stopped")
    parser.add_argument("--overwrite", action="store_true", help="forget the run in DIR")
    parser.add_argument("--half", action="store_true", help="write the final weights in half precision")
    parser.add_argument("--device", help="cpu or cuda; default: cuda where there is a GPU")
    opening.add_arguments(parser)
    _add_start(parser.add_argument_group("where the weights start; default: at random"))
    _add_recipe(parser.add_argument_group("recipe; the defaults are the paper's for Cityscapes"))
    _add_reporting(parser.add_argument_group("what is said and kept"))
    return parser


def _add_start(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--backbone", type=Path, metavar="FILE", help="torchvision's or timm's ResNet-50, an STDC or a Swin-T"
    )
    group.add_argument("--weights", type=Path, metavar="FILE", help="a model of this variant and these classes")


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--qat", action="store_true", help="train on --weights as INT8 rounds them: 2000 steps, learning rate 0.00007")
    add("--steps", type=int, help="optimiser steps (90000)")
    add("--batch", type=int, help="images a step, over all GPUs (32)")
    add("--size", type=console.size, metavar="HxW", help="what images are cropped to (512x1024)")
    add("--scale", type=_range, metavar="A:B", help="factors that images are enlarged by (0.5:2)")
    add("--learning-rate", type=float, metavar="X", help="its highest value (0.0007)")
    add("--backbone-factor", type=float, metavar="X", help="times that for the backbone (0.1, or 1 if it starts anew)")
    add("--weight-decay", type=float, metavar="X", help="AdamW's; none for norms, biases and embeddings (0.05)")
    add("--warmup", type=int, metavar="N", help="steps in which the learning rate rises (10)")
    add("--clip", type=float, metavar="X", help="largest norm of the gradient (0.01); from scratch try 0.1 or 1")
    add("--points", type=int, metavar="N", help="points a mask is supervised at (12544, fewer for small images)")
    add("--ema", type=float, metavar="X", help="what the weights' average keeps each step (0.9998)")
    add("--seed", type=int, help="of weights, order and augmentations (0)")
    add("--precision", choices=["auto", "fp32", "bf16"], help="auto is bf16 on a GPU, fp32 else")
    add("--workers", type=int, metavar="N", help="processes that prepare images (as many as there are cores)")


def _add_reporting(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--log-every", type=int, metavar="N", help="steps between lines of metrics (20)")
    group.add_argument("--picture-every", type=int, metavar="N", help="steps between sample pictures (500)")
    group.add_argument("--checkpoint-minutes", type=float, metavar="N", help="minutes between checkpoints (10)")


def _depths(text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"\d+,\d+,\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no three numbers of layers: give them as in 3,3,3")
    first, second, third = (int(part) for part in text.split(","))
    return first, second, third


def _range(text: str) -> tuple[float, float]:
    try:
        least, most = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no range: give two factors, such as 0.5:2") from None
    return least, most


def _train(options: argparse.Namespace) -> dict[str, Any]:
    from pem_edge.pem.variants import VARIANTS  # torch takes seconds to import; wrong usage should not

    if options.variant not in VARIANTS:
        raise TrainingError(f"no variant {options.variant!r}, expected one of {', '.join(VARIANTS)}")
    if options.qat and options.weights is None and not options.resume:
        raise TrainingError("--qat starts from trained weights and none came: give them with --weights FILE")
    settings = _settings(options)
    dataset = opening.from_options(options)
    from pem_edge.pem.training import Trainer
    from pem_edge.pem.training.processes import joined
    from pem_edge.pem.training.snapshots import NAME

    if (options.out / NAME).exists() and not (options.resume or options.overwrite):
        raise OutputError(f"{options.out} has a run: add --resume to go on with it, or --overwrite to forget it")
    with joined(options.device) as processes:
        trainer = Trainer(_start(options, settings, len(dataset.labels)), dataset, settings, options.out, processes)
        if options.resume:
            trainer.resume()
        else:
            trainer.begin()
        trainer.run()
        weights = trainer.save(half=options.half)
    return {"weights": str(weights), "metrics": str(options.out / "metrics.csv")}


def _settings(options: argparse.Namespace) -> Settings:
    from dataclasses import fields

    from pem_edge.pem.training.settings import QAT_DEFAULTS, Settings

    anew = options.backbone is None and options.weights is None and not options.qat
    chosen: dict[str, Any] = {"backbone_factor": 1.0 if anew else 0.1}
    chosen |= QAT_DEFAULTS if options.qat else {}
    for field in fields(Settings):
        if getattr(options, field.name, None) is not None:
            chosen[field.name] = getattr(options, field.name)
    return Settings(**chosen)


def _start(options: argparse.Namespace, settings: Settings, num_classes: int) -> PEM:
    """The model before its first step. Raises CheckpointError, TrainingError."""
    import torch

    from pem_edge import pem
    from pem_edge.pem.training.backbone_weights import load_backbone

    if options.weights is not None and options.encoder_layers is not None:
        raise TrainingError("--encoder-layers are those of --weights: leave them out, or start without weights")
    if options.weights is not None:
        model = pem.load(options.weights).train()
        if (model.variant, model.num_classes) != (options.variant, num_classes):
            raise TrainingError(
                f"{options.weights} is {model.variant} of {model.num_classes} classes, expected {options.variant} of "
                f"{num_classes}, as the dataset has"
            )
        return model
    torch.manual_seed(settings.seed)
    try:
        model = pem.build(options.variant, num_classes, encoder_layers=options.encoder_layers)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if options.backbone is not None:
        load_backbone(model, options.backbone)
    return model
