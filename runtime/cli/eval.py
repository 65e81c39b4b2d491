"""``pem-eval``: score an exported model on labelled images: PQ, SQ and RQ as the COCO panoptic API, and mean IoU."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from pem_edge.runtime import files
from pem_edge.runtime.cli import console
from pem_edge.runtime.datasets import opening
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.relabeling import Relabelled
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.evaluation import error_pictures, table
from pem_edge.runtime.evaluation.evaluate import Evaluation, evaluate
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.loading import load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    return console.run(_parser(), _run, arguments)


def _parser() -> console.Parser:
    parser = console.Parser(prog="pem-eval", description=__doc__, epilog=opening.EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="an exported model, such as out/pem.onnx, or demo")
    parser.add_argument("--backend", metavar="B", help="onnxruntime or openvino; default: the fastest installed")
    parser.add_argument("--limit", metavar="N", type=console.positive, help="score the first N images only")
    parser.add_argument(
        "--semantic", action=argparse.BooleanOptionalAction, default=True, help="mean IoU too, which takes more time"
    )
    opening.add_arguments(parser)
    group = parser.add_argument_group("pictures of errors")
    group.add_argument(
        "--save-errors",
        metavar="DIR",
        type=Path,
        help="draw the images of lowest PQ there: image, truth, prediction, and errors, which are red where the class "
        "is wrong, yellow where only the segment is, blue where nothing is asked",
    )
    group.add_argument("--worst", metavar="N", type=console.positive, default=10, help="how many; default: %(default)s")
    group.add_argument("--overwrite", action="store_true", help="replace pictures of earlier runs")
    return parser


def _run(options: argparse.Namespace) -> dict[str, Any]:
    dataset = opening.from_options(options)
    count = min(len(dataset), options.limit or len(dataset))
    pictures = _planned(options, count)
    with load(options.model, options.backend) as segmenter:
        relabelled = Relabelled(dataset, segmenter.manifest.classes)
        with tqdm(range(count), unit="image", disable=None) as indices:
            evaluation = evaluate(segmenter, relabelled, indices, semantic=options.semantic)
        worst = list(_draw_worst(segmenter, relabelled, evaluation, pictures))
        if not options.json:
            print(table.table(evaluation, relabelled.labels))
        return {
            "model": options.model,
            "backend": segmenter.backend.name,
            **table.record(evaluation, relabelled.labels),
            "worst": worst,
        }


def _planned(options: argparse.Namespace, count: int) -> list[Path]:
    """The pictures to draw, the worst first. Raises OutputError if they cannot be written."""
    folder = options.save_errors
    if folder is None:
        return []
    files.make_folder(folder)
    paths = [folder / f"worst_{rank:02d}.png" for rank in range(1, min(options.worst, count) + 1)]
    for path in paths:
        if path.exists() and not options.overwrite:
            raise OutputError(f"{path} exists already: add --overwrite, or give --save-errors another folder")
    return paths


def _draw_worst(
    segmenter: Segmenter, dataset: Dataset, evaluation: Evaluation, paths: Sequence[Path]
) -> Iterator[dict[str, Any]]:
    for index, path in zip(evaluation.worst(len(paths)), paths, strict=False):
        sample = dataset[index]
        picture = error_pictures.draw(sample, segmenter(sample.image))
        with files.writing(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
        yield {"image": sample.name, "pq": evaluation.image_quality[index], "picture": str(path)}


if __name__ == "__main__":
    sys.exit(main())
