"""Defines the options of ``pem-export``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, get_args

from pem_edge.calibration.images.calibration_set import COUNT
from pem_edge.export.engine.settings import DEFAULT_CACHE, HARDWARE_LEVELS, NO_CACHE
from pem_edge.pem.cli import checkpoint_options
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.manifest import MAX_BATCH, TASKS, Thresholds
from pem_edge.runtime.artifacts.sections import Placement, RangeMethod
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.cli.parser import Parser, listed

_DESCRIPTION = "Turn a trained model into an artifact, and verify that it computes the same."
_EXAMPLES = """
pem-export --list                                              # public weights, and their licenses
pem-export --weights tue-mps/coco_panoptic_eomt_small_640_2x --to onnx -o out
pem-export --weights model_final.pth --to onnx --size 512x1024 -o out
pem-export --weights model_final.pth --to trt --precision fp16 -o out
pem-export --weights out/pem-stdc1-fp16.onnx --to trt          # on the machine where it will run
pem-export --verify out/pem-stdc1-fp16.engine
"""

_PEBIBYTE = 1 << 50
_FLAG: dict[str, Any] = {"action": "store_true", "default": None}  # Any: add_argument's keywords; None if not given


def parser() -> Parser:
    """Return the parser of ``pem-export``. An option that is not given is None."""
    parser = Parser("pem-export", "--weights CHECKPOINT --to onnx|trt|trt-rtx [options]", _DESCRIPTION, _EXAMPLES)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--weights",
        type=shared_options.named,
        metavar="CHECKPOINT",
        help=f"{checkpoint_options.CHECKPOINT}; for engines also an .onnx exported before",
    )
    source.add_argument(
        "--list", action="store_true", help="list public weights, and the variants with what a run of each takes"
    )
    source.add_argument(
        "--verify", type=shared_options.path, metavar="MODEL", help="compare what a model computes here with its .onnx"
    )
    source.add_argument("--build-plugin", action="store_true", help="build the plugin for TensorRT, and nothing else")
    parser.add_argument("--to", choices=["onnx", "trt", "trt-rtx"], help="kind of artifact (default: onnx)")
    parser.add_argument(
        "-o",
        "--output",
        type=shared_options.path,
        help="folder, or a file that ends in .onnx or .engine (default: a new folder runs/N, or that of the .onnx from "
        "which an engine is built)",
    )
    parser.add_argument("--overwrite", **_FLAG, help="replace an artifact of that name")
    _add_checkpoint(parser.add_argument_group("the checkpoint"))
    _add_graph(parser.add_argument_group("the graph"))
    _add_dynamic(parser.add_argument_group("sizes that vary"))
    _add_int8(parser.add_argument_group("INT8"))
    _add_thresholds(parser.add_argument_group("default thresholds of segments, 0 to 1"))
    _add_engine(parser.add_argument_group("engines"))
    shared_options.add_backend(parser.add_argument_group("verifying"))
    plugin = parser.add_argument_group("the plugin")
    plugin.add_argument(
        "--tensorrt-include",
        type=shared_options.path,
        metavar="DIR",
        help="folder of TensorRT's headers, NvInfer.h",
    )
    plugin.add_argument(
        "--cuda-arch", metavar="LIST", help="GPUs to compile for, such as 87 or 86;89 (default: this machine's)"
    )
    return parser


def _add_checkpoint(group: argparse._ArgumentGroup) -> None:
    checkpoint_options.add_choice(group)
    group.add_argument(
        "--task",
        choices=TASKS,
        help="what the model was trained for, and what pem-run shows of it (default: what is known of the checkpoint)",
    )


def _add_graph(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size",
        type=shared_options.size,
        metavar="HxW",
        help="input size (default: what the weights say, or 512x1024)",
    )
    group.add_argument(
        "--batch", type=shared_options.whole(1, MAX_BATCH), metavar="N", help="images per run (default: 1)"
    )
    group.add_argument(
        "--labels",
        type=shared_options.named,
        help=f"{', '.join(labels.BUNDLED)}, or a JSON file of COCO categories (default: the checkpoint's, or by class "
        "count)",
    )
    group.add_argument(
        "--precision",
        choices=["fp32", "fp16", "int8"],
        help="single; half where that is safe; convolutions and linear layers in INT8, with --calib (default: fp32)",
    )
    group.add_argument("--outputs", choices=["float32", "float16"], help="type of logits and masks (float32)")
    group.add_argument(
        "--deform-conv",
        choices=["auto", "native", "standard", "gather", "plugin"],
        help="deformable convolution: ONNX's DeformConv; GridSample and a product; gathers and a product; or our "
        "plugin, for an engine of TensorRT to be built here or elsewhere (default: what suits --to). Deformable "
        "attention uses GridSample, gathers, or, with native and plugin, the plugin that comes with TensorRT",
    )
    group.add_argument(
        "--upsample",
        choices=["auto", "transposed", "phases"],
        help="upsampling: ConvTranspose, or the ordinary convolutions it consists of (default: what suits --to)",
    )
    group.add_argument(
        "--attention",
        choices=["standard", "fused"],
        help="attention of EoMT: two products and a softmax, which run everywhere; or an operator of ONNX Runtime, "
        "which takes less memory at large sizes, runs in OpenVINO, too, and not in engines (default: standard)",
    )
    group.add_argument(
        "--compact",
        **_FLAG,
        help="store weights that half precision holds exactly in half precision: a smaller file, the same numbers",
    )


def _add_dynamic(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dynamic", **_FLAG, help="take any size and batch within the ranges below; EoMT any batch")
    group.add_argument(
        "--min-size", type=shared_options.size, metavar="HxW", help="smallest (default: 128x128, or --size if smaller)"
    )
    group.add_argument("--max-size", type=shared_options.size, metavar="HxW", help="largest (default: twice --size)")
    group.add_argument(
        "--max-batch", type=shared_options.whole(1, MAX_BATCH), metavar="N", help="maximum images per run (default: 4)"
    )


def _add_thresholds(group: argparse._ArgumentGroup) -> None:
    for name, meaning in (
        ("score", "minimum class score of a segment"),
        ("overlap", "minimum visible fraction of a segment"),
    ):
        default, of_instances = (getattr(Thresholds.usual(task), name) for task in ("panoptic", "instance"))
        shown = f"{default}" if default == of_instances else f"{default}; instances: {of_instances}"
        group.add_argument(
            f"--{name}-threshold", type=shared_options.fraction, metavar="P", help=f"{meaning} ({shown})"
        )


def _add_engine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--workspace", type=_bytes, metavar="SIZE", help="maximum memory for a layer, such as 2G or 512M (default: all)"
    )
    group.add_argument(
        "--optimization-level",
        type=shared_options.whole(0, 5),
        choices=range(6),
        help="0 builds fastest, 5 searches longest (default: 3)",
    )
    group.add_argument(
        "--timing-cache",
        type=lambda text: text if text in (DEFAULT_CACHE, NO_CACHE) else Path(text),
        metavar="FILE",
        help="where to keep times of kernels for the next build, or none (default: in the user's cache folder)",
    )
    group.add_argument(
        "--version-compatible",
        **_FLAG,
        help="for later releases of the same major version, too, which need the lean runtime of this one",
    )
    group.add_argument("--hardware-compatible", choices=list(HARDWARE_LEVELS), help="for other GPUs, too")
    group.add_argument(
        "--compute-capability",
        type=listed,
        metavar="LIST",
        help="TensorRT-RTX: GPUs to build for, such as 8.6,8.9 (default: all from Ampere on)",
    )
    group.add_argument("--inspect", **_FLAG, help="write the list of layers beside the engine")


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d{1,16})\s*([KMGT]?)(i?B)?", text, re.IGNORECASE)
    value = int(match[1]) << " KMGT".index(match[2].upper() or " ") * 10 if match else 0
    if not 0 < value < _PEBIBYTE:
        raise argparse.ArgumentTypeError(f"{text!r} must be an amount of memory, such as 2G or 512M")
    return value


def _add_int8(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--calib",
        type=shared_options.named,
        metavar="DIR",
        help="images like those the model will see: a folder, a folder in COCO's panoptic format, on which PQ (or mean "
        "IoU, of models for semantic maps) is then measured, too, or toy:COUNT[:HxW[:SEED]]",
    )
    group.add_argument(
        "--calib-images", type=shared_options.positive, metavar="N", help=f"how many of them to use (default: {COUNT})"
    )
    group.add_argument(
        "--calib-method",
        choices=get_args(RangeMethod),
        help="how to derive ranges from observed values (default: percentile)",
    )
    group.add_argument(
        "--calib-cache",
        type=shared_options.path,
        metavar="FILE",
        help="where to keep statistics (default: in the user's cache folder)",
    )
    group.add_argument(
        "--max-pq-drop",
        type=shared_options.number,
        metavar="X",
        help="keep the most sensitive blocks out of INT8 until no more than X is lost: percentage points of PQ, of "
        "mean IoU for semantic maps, or of pixels that keep their class where there are no labels (default: "
        "whatever it costs)",
    )
    group.add_argument(
        "--placement",
        choices=get_args(Placement),
        help="whose kernels to quantize for; tensorrt with --to onnx is for an engine to be built elsewhere (default: "
        "what suits --to)",
    )
    group.add_argument(
        "--remainder", choices=["fp32", "fp16"], help="precision of the rest (default: fp16 for TensorRT, else fp32)"
    )
