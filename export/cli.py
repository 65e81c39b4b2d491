"""The command ``pem-export``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.forms import resolve
from runtime import console, labels
from runtime.errors import ExportError
from runtime.files import make_folder, refuse_existing
from runtime.manifest import MULTIPLE_OF, InputSpec, Manifest, Range, Thresholds, path_of

if TYPE_CHECKING:
    from pem import PEM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return console.run(_parser(), _export, arguments)


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="pem-export",
        description="Turn a trained PEM into an artifact, and prove that it computes the same.",
        epilog="example:\n  pem-export --weights model_final.pth --to onnx --size 512x1024 -o out",
    )
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint (.pth, .pkl, .safetensors), or demo")
    parser.add_argument("--to", choices=["onnx"], default="onnx", help="kind of artifact (default: onnx)")
    parser.add_argument(
        "--size", type=console.size, default=(512, 1024), metavar="HxW", help="input size (default: 512x1024)"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images per run (default: 1)")
    parser.add_argument(
        "--labels",
        help="cityscapes, ade20k, or a JSON file of COCO categories (default: the checkpoint's, or by class count)",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(), help="folder, or a file that ends in .onnx")
    parser.add_argument("--overwrite", action="store_true", help="replace an artifact of that name")
    _add_dynamic(parser.add_argument_group("sizes that vary"))
    _add_forms(parser.add_argument_group("form of the graph"))
    parser.add_argument(
        "--compact",
        action="store_true",
        help="store weights that half precision holds exactly in half precision: a smaller file, the same numbers",
    )
    _add_thresholds(parser.add_argument_group("defaults of the panoptic merge, 0 to 1"))
    return parser


def _add_dynamic(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dynamic", action="store_true", help="take any size and batch within the ranges below")
    group.add_argument(
        "--min-size", type=console.size, default=(128, 128), metavar="HxW", help="smallest (default: 128x128)"
    )
    group.add_argument("--max-size", type=console.size, metavar="HxW", help="largest (default: twice --size)")
    group.add_argument("--max-batch", type=int, default=4, metavar="N", help="most images per run (default: 4)")


def _add_forms(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--deform-conv",
        choices=["auto", "native", "standard"],
        default="auto",
        help="deformable convolution: ONNX's DeformConv, or GridSample and a product, which runs everywhere",
    )
    group.add_argument(
        "--upsample",
        choices=["auto", "transposed", "phases"],
        default="auto",
        help="upsampling: ConvTranspose, or the ordinary convolutions it consists of",
    )


def _add_thresholds(group: argparse._ArgumentGroup) -> None:
    for name, meaning in (("score", "least class score of a segment"), ("overlap", "least visible share of a segment")):
        default = getattr(Thresholds(), name)
        group.add_argument(
            f"--{name}-threshold", type=console.share, default=default, metavar="P", help=f"{meaning} ({default})"
        )


def _export(options: argparse.Namespace) -> dict[str, Any]:
    spec = _input_spec(options)
    make_folder(options.output.parent if options.output.suffix == ".onnx" else options.output)
    from pem import checkpoints  # torch takes seconds to import; wrong options should not

    weights = checkpoints.locate(options.weights)
    _say(f"reading {weights}")
    model = checkpoints.load(weights)
    _say(f"{model.variant}, {model.num_classes} classes, {model.num_queries} queries")
    output, known = _output(options, model), checkpoints.labels(weights)
    from export.artifact import Request, export_onnx

    request = Request(
        model=model,
        checkpoint=weights,
        output=output,
        input=spec,
        labels=labels.load(options.labels) if options.labels else known or labels.default(model.num_classes),
        forms=resolve(options.to, options.deform_conv, options.upsample),
        compact=options.compact,
        thresholds=Thresholds(score=options.score_threshold, overlap=options.overlap_threshold),
    )
    manifest = export_onnx(request, _say)
    if not options.json:
        print(_summary(output, manifest))
    return {"model": str(output), "manifest": str(path_of(output)), "parity": manifest.parity}


def _output(options: argparse.Namespace, model: PEM) -> Path:
    """The model file to write. Raises OutputError where that is not possible."""
    given: Path = options.output
    output = given if given.suffix == ".onnx" else given / f"{model.variant}.onnx"
    if not options.overwrite:
        refuse_existing(output)
        refuse_existing(path_of(output))
    return output


def _input_spec(options: argparse.Namespace) -> InputSpec:
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


def _check_size(option: str, size: tuple[int, int]) -> None:
    if any(side < MULTIPLE_OF or side % MULTIPLE_OF for side in size):
        near = "x".join(str(max(MULTIPLE_OF, round(side / MULTIPLE_OF) * MULTIPLE_OF)) for side in size)
        raise ExportError(f"{option} is {size[0]}x{size[1]}, expected multiples of {MULTIPLE_OF}: try {near}")


def _range(what: str, least: int, usual: int, most: int) -> Range:
    if not least <= usual <= most or least == most:
        raise ExportError(f"the {what} may vary from {least} to {most}, usual {usual}: expected a range with it inside")
    return Range(least, usual, most)


def _summary(output: Path, manifest: Manifest) -> str:
    lines = [f"{output} ({output.stat().st_size / 1e6:.1f} MB), manifest {path_of(output)}"]
    for name, result in manifest.parity.items():
        worst = result["worst"]
        lines.append(
            f"parity in {name}: {result['within_tolerance']} of {result['images']} images within tolerance; median "
            f"difference {result['median']['logits']:.1e} in class logits, {result['median']['masks']:.1e} in mask "
            f"logits; at least {worst['agreement']:.3%} of pixels agree"
        )
    return "\n".join(lines)


def _say(text: str) -> None:
    console.say("pem-export", text)


if __name__ == "__main__":
    sys.exit(main())
