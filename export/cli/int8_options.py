"""The options of ``pem-export`` that are for INT8."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from pem_edge.export.graph.operation_forms import Precision
from pem_edge.runtime.artifacts.manifest import Placement, RangeMethod
from pem_edge.runtime.errors import ExportError

OPTIONS: dict[str, Any] = {
    "calib": None,
    "calib_images": None,
    "calib_method": None,
    "calib_cache": None,
    "max_pq_drop": None,
    "placement": None,
    "remainder": None,
}
"""With their defaults."""


def add(group: argparse._ArgumentGroup) -> None:
    """Add them to a group of arguments."""
    group.add_argument(
        "--calib",
        metavar="DIR",
        help="pictures like those the model is for: a folder, a folder in COCO's panoptic format, on which PQ is then "
        "measured, too, or toy:COUNT[:HxW[:SEED]]",
    )
    group.add_argument("--calib-images", type=int, metavar="N", help="how many of them to use (default: 200)")
    group.add_argument(
        "--calib-method", choices=get_args(RangeMethod), help="how ranges follow from values (default: percentile)"
    )
    group.add_argument(
        "--calib-cache",
        type=Path,
        metavar="FILE",
        help="where to keep statistics (default: in the user's cache folder)",
    )
    group.add_argument(
        "--max-pq-drop",
        type=float,
        metavar="X",
        help="keep the most sensitive blocks out of INT8 until no more than X is lost: percentage points of PQ, or of "
        "pixels that keep their class where there are no labels (default: whatever it costs)",
    )
    group.add_argument(
        "--placement",
        choices=get_args(Placement),
        help="whose kernels to quantise for; tensorrt with --to onnx is for an engine to be built elsewhere (default: "
        "what suits --to)",
    )
    group.add_argument(
        "--remainder", choices=["fp32", "fp16"], help="precision of the rest (default: fp16 for TensorRT, else fp32)"
    )


def read(options: argparse.Namespace) -> dict[str, Any] | None:
    """Arguments of `Calibration`, None for other precisions. Raises ExportError for what contradicts."""
    given = [name for name in OPTIONS if getattr(options, name) is not None]
    if options.precision != "int8":
        if given:
            raise ExportError(f"--{given[0].replace('_', '-')} is for INT8: add --precision int8, or leave it out")
        return None
    if options.calib is None:
        raise ExportError("--precision int8 needs pictures to calibrate on: add --calib DIR")
    if options.max_pq_drop is not None and options.max_pq_drop < 0:
        raise ExportError(f"--max-pq-drop is {options.max_pq_drop:g}, expected 0 or more")
    if placement(options) == "cpu" and floating(options) == "fp16":
        raise ExportError("--remainder fp16 is for TensorRT, CPUs compute half as single: leave it out")
    if placement(options) == "cpu" and options.to != "onnx":
        raise ExportError(f"--placement cpu is refused by the parser of --to {options.to}: leave it out")
    chosen = {
        "placement": placement(options),
        "source": options.calib,
        "count": options.calib_images,
        "method": options.calib_method,
        "most": options.max_pq_drop,
        "cache": options.calib_cache,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def floating(options: argparse.Namespace) -> Precision:
    """The precision of what is not in INT8: "fp32" or "fp16"."""
    if options.precision != "int8":
        chosen: Precision = options.precision
        return chosen
    remainder: Precision | None = options.remainder
    return remainder or ("fp32" if placement(options) == "cpu" else "fp16")


def placement(options: argparse.Namespace) -> Placement:
    """Whose kernels to quantise for: "cpu" or "tensorrt"."""
    chosen: Placement | None = options.placement
    return chosen or ("cpu" if options.to == "onnx" else "tensorrt")
