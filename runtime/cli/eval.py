"""``pem-eval``: score an exported model on labeled images: PQ, SQ and RQ as the COCO panoptic API, and mean IoU."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from tqdm import tqdm

from pem_edge.runtime import files
from pem_edge.runtime.cli import console, dataset_options
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.datasets.relabeling import Relabeled
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.evaluation import error_pictures, table
from pem_edge.runtime.evaluation.evaluate import Evaluation, evaluate
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.loading import load
from pem_edge.runtime.versioned_json import JsonObject


@dataclass(frozen=True)
class ErrorPictures:
    """Which pictures of errors to draw: of the ``worst`` images, into ``folder``."""

    folder: Path
    worst: int
    overwrite: bool


@dataclass(frozen=True)
class EvalRequest:
    """What ``pem-eval`` is to do.

    Attributes:
        model: The path of an exported model, or "demo".
        dataset: Where the labeled images are.
        backend: The name of a backend; None for the fastest.
        limit: The number of images to score, the first ones; None for all.
        semantic: Whether to compute the mean IoU, too.
        errors: The pictures of errors to draw; None for none.
        json: Whether JSON is printed instead of a table.
    """

    model: str
    dataset: DatasetLocation
    backend: str | None
    limit: int | None
    semantic: bool
    errors: ErrorPictures | None
    json: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``, by default those of the process; return its exit code."""
    return console.run(_parser(), _read, _run, arguments)


def _parser() -> console.Parser:
    parser = console.Parser(prog="pem-eval", description=__doc__, epilog=dataset_options.EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="an exported model, such as out/pem.onnx, or demo")
    console.add_backend(parser)
    parser.add_argument("--limit", metavar="N", type=console.positive, help="score the first N images only")
    parser.add_argument(
        "--semantic", action=argparse.BooleanOptionalAction, default=True, help="mean IoU too, which takes more time"
    )
    dataset_options.add(parser)
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


def _read(options: argparse.Namespace) -> EvalRequest:
    folder = options.save_errors
    return EvalRequest(
        model=options.model,
        dataset=dataset_options.read(options),
        backend=options.backend,
        limit=options.limit,
        semantic=options.semantic,
        errors=None if folder is None else ErrorPictures(folder, options.worst, options.overwrite),
        json=options.json,
    )


def _run(request: EvalRequest) -> JsonObject:
    dataset = request.dataset.open()
    count = min(len(dataset), request.limit or len(dataset))
    pictures = [] if request.errors is None else _planned(request.errors, count)
    with load(request.model, request.backend) as segmenter:
        relabeled = Relabeled(dataset, segmenter.manifest.classes)
        with tqdm(range(count), unit="image", disable=None) as indices:
            evaluation = evaluate(segmenter, relabeled, indices, semantic=request.semantic)
        worst = list(_draw_worst(segmenter, relabeled, evaluation, pictures))
        if not request.json:
            print(table.table(evaluation, relabeled.labels))
        return {
            "model": request.model,
            "backend": segmenter.backend.name,
            **table.record(evaluation, relabeled.labels),
            "worst": worst,
        }


def _planned(errors: ErrorPictures, count: int) -> list[Path]:
    """Return the paths of the pictures, the worst first. Raises OutputError if they cannot be written."""
    files.make_folder(errors.folder)
    paths = [errors.folder / f"worst_{rank:02d}.png" for rank in range(1, min(errors.worst, count) + 1)]
    for path in paths:
        if path.exists() and not errors.overwrite:
            raise OutputError(f"{path} exists already: add --overwrite, or give --save-errors another folder")
    return paths


def _draw_worst(
    segmenter: Segmenter, dataset: Dataset, evaluation: Evaluation, paths: Sequence[Path]
) -> Iterator[JsonObject]:
    for index, path in zip(evaluation.worst(len(paths)), paths, strict=False):
        sample = dataset[index]
        picture = error_pictures.draw(sample, segmenter(sample.image))
        with files.writing(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
        yield {"image": sample.name, "pq": evaluation.image_quality[index], "picture": str(path)}


if __name__ == "__main__":
    sys.exit(main())
