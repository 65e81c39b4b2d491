"""The options of ``pem-export``, and what they ask for."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from pem_edge.export.cli import int8_options
from pem_edge.export.engine.settings import DEFAULT_CACHE, HARDWARE_LEVELS, NO_CACHE, Settings
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, InputSpec, Range, Thresholds
from pem_edge.runtime.cli import console
from pem_edge.runtime.errors import ExportError

GRAPH: dict[str, Any] = {
    "size": (512, 1024),
    "batch": 1,
    "labels": None,
    "dynamic": False,
    "min_size": (128, 128),
    "max_size": None,
    "max_batch": 4,
    "precision": "fp32",
    "outputs": "float32",
    "deform_conv": "auto",
    "upsample": "auto",
    "compact": False,
    **int8_options.OPTIONS,
    "score_threshold": Thresholds().score,
    "overlap_threshold": Thresholds().overlap,
}
"""Options that shape the graph, with their defaults: an ONNX artifact has them settled."""

ENGINE = tuple(field.name for field in fields(Settings))
"""Options for the builder of engines."""


def parser() -> console.Parser:
    """The command's. What is not given, of `GRAPH` and `ENGINE`, is not among the options that it returns."""
    parser = console.Parser(
        prog="pem-export",
        description="Turn a trained PEM into an artifact, and prove that it computes the same.",
        epilog="examples:\n"
        "  pem-export --weights model_final.pth --to onnx --size 512x1024 -o out\n"
        "  pem-export --weights model_final.pth --to trt --precision fp16 -o out\n"
        "  pem-export --weights out/pem-stdc1-fp16.onnx --to trt     # on the machine where it will run",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--weights",
        type=Path,
        help="checkpoint (.pth, .pkl, .safetensors), or demo; for engines also an .onnx exported before",
    )
    source.add_argument("--list", action="store_true", help="list the variants and what a run of each takes")
    source.add_argument("--build-plugin", action="store_true", help="build the plugin for TensorRT, and nothing else")
    parser.add_argument(
        "--to", choices=["onnx", "trt", "trt-rtx"], default="onnx", help="kind of artifact (default: onnx)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder, or a file that ends in .onnx or .engine (default: here)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an artifact of that name")
    _add_graph(_group(parser, "the graph"))
    _add_dynamic(_group(parser, "sizes that vary"))
    int8_options.add(_group(parser, "INT8"))
    _add_thresholds(_group(parser, "defaults of the panoptic merge, 0 to 1"))
    _add_engine(_group(parser, "engines"))
    plugin = parser.add_argument_group("the plugin")
    plugin.add_argument("--tensorrt-include", type=Path, metavar="DIR", help="folder of TensorRT's headers, NvInfer.h")
    plugin.add_argument(
        "--cuda-arch", metavar="LIST", help="GPUs to compile for, such as 87 or 86;89 (default: this machine's)"
    )
    return parser


def given(options: argparse.Namespace, names: Any) -> list[str]:
    """Those of ``names`` that the user gave, as they are written."""
    return [f"--{name.replace('_', '-')}" for name in names if hasattr(options, name)]


def settings(options: argparse.Namespace) -> Settings:
    """How engines are to be built."""
    return Settings(**{name: getattr(options, name) for name in ENGINE if hasattr(options, name)})


def with_defaults(options: argparse.Namespace) -> argparse.Namespace:
    """The options, with those of `GRAPH` that were not given."""
    return argparse.Namespace(**{**GRAPH, **vars(options)})


def input_spec(options: argparse.Namespace) -> InputSpec:
    """The sizes asked for. Raises ExportError if they are none."""
    height, width = options.size
    if options.batch < 1:
        raise ExportError(f"--batch is {options.batch}, expected 1 or more")
    _check_size("--size", options.size)
    if not options.dynamic:
        return InputSpec(height=height, width=width, batch=options.batch)
    least, most = options.min_size, options.max_size or (2 * height, 2 * width)
    _check_size("--min-size", least)
    _check_size("--max-size", most)
    return InputSpec(
        height=height,
        width=width,
        batch=options.batch,
        dynamic_batch=_range("batch", 1, options.batch, options.max_batch),
        dynamic_height=_range("height", least[0], height, most[0]),
        dynamic_width=_range("width", least[1], width, most[1]),
    )


def _group(parser: console.Parser, title: str) -> argparse._ArgumentGroup:
    return parser.add_argument_group(title, argument_default=argparse.SUPPRESS)


def _add_graph(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--size", type=console.size, metavar="HxW", help="input size (default: 512x1024)")
    group.add_argument("--batch", type=int, metavar="N", help="images per run (default: 1)")
    group.add_argument(
        "--labels",
        help="cityscapes, ade20k, coco_panoptic, or a JSON file of COCO categories (default: the checkpoint's, or by "
        "class count)",
    )
    group.add_argument(
        "--precision",
        choices=["fp32", "fp16", "int8"],
        help="single; half where that is safe; convolutions in INT8, which needs --calib (default: fp32)",
    )
    group.add_argument("--outputs", choices=["float32", "float16"], help="type of logits and masks (float32)")
    group.add_argument(
        "--deform-conv",
        choices=["auto", "native", "standard", "plugin"],
        help="deformable convolution: ONNX's DeformConv; GridSample and a product, which runs everywhere; or our "
        "plugin, for an engine of TensorRT to be built here or elsewhere (default: what suits --to). Deformable "
        "attention is `standard`, or else the plugin that comes with TensorRT",
    )
    group.add_argument(
        "--upsample",
        choices=["auto", "transposed", "phases"],
        help="upsampling: ConvTranspose, or the ordinary convolutions it consists of (default: what suits --to)",
    )
    group.add_argument(
        "--compact",
        action="store_true",
        help="store weights that half precision holds exactly in half precision: a smaller file, the same numbers",
    )


def _add_dynamic(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dynamic", action="store_true", help="take any size and batch within the ranges below")
    group.add_argument("--min-size", type=console.size, metavar="HxW", help="smallest (default: 128x128)")
    group.add_argument("--max-size", type=console.size, metavar="HxW", help="largest (default: twice --size)")
    group.add_argument("--max-batch", type=int, metavar="N", help="most images per run (default: 4)")


def _add_thresholds(group: argparse._ArgumentGroup) -> None:
    for name, meaning in (("score", "least class score of a segment"), ("overlap", "least visible share of a segment")):
        default = GRAPH[f"{name}_threshold"]
        group.add_argument(f"--{name}-threshold", type=console.share, metavar="P", help=f"{meaning} ({default})")


def _add_engine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--workspace", type=_bytes, metavar="SIZE", help="most memory for a layer, such as 2G or 512M (default: all)"
    )
    group.add_argument(
        "--optimization-level", type=int, choices=range(6), help="0 builds fastest, 5 searches longest (default: 3)"
    )
    group.add_argument(
        "--timing-cache",
        type=lambda text: text if text in (DEFAULT_CACHE, NO_CACHE) else Path(text),
        metavar="FILE",
        help="where to keep times of kernels for the next build, or none (default: in the user's cache folder)",
    )
    group.add_argument(
        "--version-compatible",
        action="store_true",
        help="for later releases of the same major version, too, which need the lean runtime of this one",
    )
    group.add_argument("--hardware-compatible", choices=list(HARDWARE_LEVELS), help="for other GPUs, too")
    group.add_argument(
        "--compute-capability",
        type=lambda text: tuple(text.split(",")),
        metavar="LIST",
        help="TensorRT-RTX: GPUs to build for, such as 8.6,8.9 (default: all from Ampere on)",
    )
    group.add_argument("--inspect", action="store_true", help="write the list of layers beside the engine")


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)(i?B)?", text, re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size of memory: give a number with a unit, such as 2G or 512M"
        )
    return int(match[1]) << " KMGT".index(match[2].upper() or " ") * 10


def _check_size(option: str, size: tuple[int, int]) -> None:
    if any(side < MULTIPLE_OF or side % MULTIPLE_OF for side in size):
        near = "x".join(str(max(MULTIPLE_OF, round(side / MULTIPLE_OF) * MULTIPLE_OF)) for side in size)
        raise ExportError(f"{option} is {size[0]}x{size[1]}, expected multiples of {MULTIPLE_OF}: try {near}")


def _range(what: str, least: int, usual: int, most: int) -> Range:
    if not least <= usual <= most or least == most:
        raise ExportError(f"the {what} may vary from {least} to {most}, usual {usual}: expected a range with it inside")
    return Range(least, usual, most)
