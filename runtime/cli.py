"""``pem-run``: segment a picture, a folder of pictures or a video with an exported model."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from runtime import console, files, sources
from runtime.result import Result
from runtime.saving import KINDS, Outputs
from runtime.segmenter import load

_LABELS_SHOWN = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    return console.run(_parser(), _run, arguments)


def _parser() -> console.Parser:
    parser = console.Parser(prog="pem-run", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="an exported model, such as out/pem.onnx, or demo")
    parser.add_argument("source", metavar="SOURCE", help="a picture, a folder of pictures or a video")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, default=Path("out"), help="default: %(default)s")
    parser.add_argument(
        "--save",
        metavar="KINDS",
        type=_kinds,
        default=("overlay", "panoptic"),
        help="any of overlay, panoptic (PNGs in COCO's colours) and json (panoptic.json, which tells their segments), "
        "separated by commas; default: overlay,panoptic",
    )
    parser.add_argument("--backend", metavar="B", help="onnxruntime or openvino; default: the fastest installed")
    parser.add_argument(
        "--threads", metavar="N", type=console.positive, help="of the CPU, to run the model; default: all"
    )
    parser.add_argument("--score-threshold", metavar="P", type=console.share, help="least class probability, 0 to 1")
    parser.add_argument(
        "--overlap-threshold", metavar="P", type=console.share, help="least visible share of a mask, 0 to 1"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of earlier runs")
    return parser


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(text.split(",")))
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not out of {', '.join(KINDS)}, separated by commas")
    return kinds


def _run(options: argparse.Namespace) -> dict[str, Any]:
    source = sources.find(options.source)
    outputs = Outputs(options.save, options.output, source)
    if not options.overwrite:
        outputs.refuse_existing()
    segmenter = load(
        options.model,
        options.backend,
        score_threshold=options.score_threshold,
        overlap_threshold=options.overlap_threshold,
        threads=options.threads,
    )
    files.make_folder(options.output)
    images: list[dict[str, Any]] = []
    errors: list[str] = []
    with segmenter, outputs:
        results = segmenter.stream(source, on_error=lambda error: errors.append(str(error)))
        for result in tqdm(results, total=source.length, unit="image", disable=None):
            images.append(_record(result, outputs.save(result)))
            if not options.json:
                with tqdm.external_write_mode():
                    print(_line(result), flush=True)
    return {"images": images, "errors": errors}


def _record(result: Result, paths: dict[str, Path]) -> dict[str, Any]:
    return {
        "image": result.name,
        "segments": [asdict(segment) for segment in result.segments],
        "overlay": _text(paths.get("overlay")),
        "panoptic": _text(paths.get("panoptic")),
        "milliseconds": {stage: round(time, 3) for stage, time in result.milliseconds.items()},
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _line(result: Result) -> str:
    """A result in one line: how many segments, of which classes the largest are, and the time it took."""
    largest = sorted(result.segments, key=lambda segment: segment.area, reverse=True)
    counts = Counter(segment.label for segment in largest)
    shown = [label if count == 1 else f"{count} {label}" for label, count in counts.items()][:_LABELS_SHOWN]
    more = [f"{len(counts) - len(shown)} more"] if len(counts) > len(shown) else []
    number = f"{len(largest)} segment{'' if len(largest) == 1 else 's'}"
    classes = f" ({', '.join(shown + more)})" if shown else ""
    return f"{result.name}: {number}{classes}, {sum(result.milliseconds.values()):.1f} ms"
