"""The options of ``pem-train``."""

from __future__ import annotations

import argparse
import re

from pem_edge.pem.cli import checkpoint_options
from pem_edge.pem.training.data import augmentation_names
from pem_edge.pem.training.settings import MAX_SEED
from pem_edge.runtime.cli import dataset_options, shared_options
from pem_edge.runtime.cli.parser import Parser

VARIANT = "pem-r50"
"""The variant that is trained if nothing says which."""

DESCRIPTION = "Train a model on your own pictures: from a checkpoint, from the weights of a backbone, or from scratch."
_EXAMPLES = """
pem-train --dataset DIR --weights facebook/mask2former-swin-tiny-coco-panoptic --val 10% -o out
pem-train --dataset cityscapes:DIR --split train --val-split val --weights model.pth -o out
pem-train --dataset camvid:DIR --split train --val-split val --task semantic --weights demo --minutes 30 -o out
pem-train --dataset cityscapes:DIR --split train --variant pem-stdc1 --backbone stdc1.tar -o out
torchrun --nproc-per-node 4 --no-python pem-train --variant pem-r50 --dataset ade20k:DIR --split train -o out
pem-train --dataset DIR --weights out/pem-stdc1.safetensors --qat -o qat
"""


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
    parser.add_argument(
        "--no-export", dest="export", action="store_false", help="write the weights alone, no ONNX model of them"
    )
    parser.add_argument("--half", action="store_true", help="write the final weights in half precision")
    parser.add_argument("--device", help="cpu or cuda; default: cuda if there is a GPU")
    dataset_options.add(parser)
    _add_validation(parser.add_argument_group("validation"))
    _add_start(parser.add_argument_group("initial weights; default: random"))
    _add_recipe(
        parser.add_argument_group(
            "recipe; what is not given is chosen for the purpose (fine-tuning with --weights, else the paper's), the "
            "images and the memory, and printed before the first step"
        )
    )
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


def _add_validation(group: argparse._ArgumentGroup) -> None:
    dataset_options.add_validation(
        group,
        "DIR|N%",
        "labeled images that tell how good the model is getting, or the part of --dataset to set aside for this; the "
        "best weights are kept",
    )
    group.add_argument(
        "--validate-every", type=shared_options.positive, metavar="N", help="steps between evaluations (a tenth of all)"
    )
    group.add_argument(
        "--patience", type=shared_options.positive, metavar="N", help="stop after N evaluations without gain"
    )


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--qat",
        action="store_true",
        default=None,
        help="fine-tune --weights in simulated INT8: 2000 steps, learning rate 0.00007",
    )
    add(
        "--task",
        choices=["panoptic", "semantic", "instance"],
        help="what to learn: semantic takes all segments of a class as one, instance leaves out stuff (panoptic; "
        "semantic if there are no things)",
    )
    add(
        "--freeze",
        choices=["backbone"],
        help="keep its weights as they are: less memory, less to learn from few images",
    )
    add("--minutes", type=shared_options.number, metavar="N", help="about how long to train, instead of --steps")
    add(
        "--steps",
        type=shared_options.whole(0),
        help="optimizer steps (100 times through the images; from scratch: 90000 or 1000 times)",
    )
    add(
        "--batch",
        type=_batch,
        help="images per step, over all GPUs; auto: as memory and a quarter of the images allow, up to 8 (from "
        "scratch: 32)",
    )
    add(
        "--size",
        type=shared_options.size,
        metavar="HxW",
        help="size of the crops (that of the images, up to 512x1024 pixels)",
    )
    add(
        "--input-size",
        type=shared_options.size,
        metavar="HxW",
        help="size of the input that the model is validated and "
        "exported for, to which images are scaled (that of the crops; from scratch: that of the images)",
    )
    add("--scale", type=_range, metavar="A:B", help="range of factors by which images are enlarged (0.5:2)")
    add(
        "--augment",
        dest="augmentations",
        type=augmentation_names.parse,
        metavar="LIST",
        help="what else changes images at random: flip, color, blur, jpeg and copy-paste (of things), all or none "
        "(from scratch: flip,color)",
    )
    add(
        "--learning-rate",
        type=shared_options.number,
        metavar="X",
        help="maximum learning rate (0.0005 for a batch of 8; from scratch: 0.0007 for 32)",
    )
    add(
        "--backbone-factor",
        type=shared_options.number,
        metavar="X",
        help="learning rate factor of the backbone (0.3; with --backbone 0.1; from scratch 1)",
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
        help="steps in which the learning rate rises (100, a tenth of the run at most; from scratch: 10)",
    )
    add(
        "--clip", type=shared_options.number, metavar="X", help="maximum norm of the gradient (0.1; from scratch: 0.01)"
    )
    add(
        "--points",
        type=shared_options.whole(0),
        metavar="N",
        help="points at which a mask is supervised (12544, fewer for small images)",
    )
    add(
        "--ema",
        type=shared_options.number,
        metavar="X",
        help="decay of the moving average of the weights (over a twentieth of the steps)",
    )
    add("--seed", type=shared_options.whole(0, MAX_SEED), help="seed of weights, order of images and augmentations (0)")
    add("--precision", choices=["auto", "fp32", "bf16"], help="auto: bf16 where a short trial finds it faster")
    add(
        "--workers",
        type=shared_options.whole(0),
        metavar="N",
        help="processes that prepare images (1; beside a GPU one for each core, up to 16)",
    )


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
    group.add_argument(
        "--checkpoint-every", type=shared_options.positive, metavar="N", help="steps between checkpoints, too"
    )
    group.add_argument("--tensorboard", action="store_true", help="write metrics for TensorBoard, too")


def _batch(text: str) -> int | None:
    return None if text == "auto" else shared_options.whole(0)(text)


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
