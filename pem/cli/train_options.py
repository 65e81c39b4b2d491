"""The options of ``pem-train``, and the request that they make."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pem_edge.pem.training.settings import QAT_DEFAULTS, Settings
from pem_edge.runtime.cli import console, dataset_options
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.errors import TrainingError

DESCRIPTION = "``pem-train``: train a model from scratch, from a backbone's weights, or on from a checkpoint."
_EXAMPLES = """examples:
  pem-train --variant pem-stdc1 --dataset cityscapes/train -o out
  torchrun --nproc-per-node 4 --no-python pem-train --variant pem-r50 --dataset ade20k/train -o out
  pem-train --variant pem-nano --dataset toy:4000 --size 256x512 --steps 5000 --batch 8 -o out
  pem-train --variant pem-stdc1 --dataset cityscapes/train --weights out/pem-stdc1.safetensors --qat -o qat"""


@dataclass(frozen=True)
class TrainRequest:
    """What ``pem-train`` is to do.

    Attributes:
        variant: The name of the variant to train.
        encoder_layers: The layers of a transformer encoder; None for the variant's.
        dataset: Where the labeled images are.
        settings: The recipe.
        backbone: A file of the backbone's weights to start from; None for random ones.
        weights: A checkpoint of the whole model to start from; None for random weights.
        out: The folder of the run.
        resume: Whether to go on with the run in ``out``.
        overwrite: Whether to forget a run in ``out``.
        half: Whether the final weights are written in half precision.
        device: PyTorch's name of a device; None for a GPU where there is one.

    Raises:
        TrainingError: If two of these contradict each other.
    """

    variant: str
    encoder_layers: tuple[int, int, int] | None
    dataset: DatasetLocation
    settings: Settings
    backbone: Path | None
    weights: Path | None
    out: Path
    resume: bool
    overwrite: bool
    half: bool
    device: str | None

    def __post_init__(self) -> None:
        if self.settings.qat and self.weights is None and not self.resume:
            raise TrainingError("--qat starts from trained weights and none came: give them with --weights FILE")
        if self.weights is not None and self.encoder_layers is not None:
            raise TrainingError("--encoder-layers are those of --weights: leave them out, or start without weights")


def read(options: argparse.Namespace) -> TrainRequest:
    """Return the request that parsed options make. Raises TrainingError, InputError."""
    return TrainRequest(
        variant=options.variant,
        encoder_layers=options.encoder_layers,
        settings=_settings(options),
        dataset=dataset_options.read(options),
        backbone=options.backbone,
        weights=options.weights,
        out=options.out,
        resume=options.resume,
        overwrite=options.overwrite,
        half=options.half,
        device=options.device,
    )


def _settings(options: argparse.Namespace) -> Settings:
    anew = options.backbone is None and options.weights is None and not options.qat
    chosen: dict[str, Any] = {"backbone_factor": 1.0 if anew else 0.1}  # fields of several types
    chosen |= QAT_DEFAULTS if options.qat else {}
    known = {field.name for field in fields(Settings)}
    chosen |= {name: value for name, value in vars(options).items() if name in known and value is not None}
    return Settings(**chosen)


def parser() -> console.Parser:
    """Return the parser of ``pem-train``."""
    parser = console.Parser(prog="pem-train", description=DESCRIPTION, epilog=_EXAMPLES)
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
    dataset_options.add(parser)
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
    add("--steps", type=int, help="optimizer steps (90000)")
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
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers of layers: give them as in 3,3,3")
    first, second, third = (int(part) for part in text.split(","))
    return first, second, third


def _range(text: str) -> tuple[float, float]:
    try:
        least, most = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range: give two factors, such as 0.5:2") from None
    return least, most
