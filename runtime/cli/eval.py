"""Entry point of the ``pem-eval`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.cli import console, dataset_options, output, shared_options
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.datasets.tasks import for_model
from pem_edge.runtime.errors import InputError, OutputError
from pem_edge.runtime.evaluation import error_pictures, table
from pem_edge.runtime.evaluation.evaluate import Evaluation, evaluate
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.loading import load
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.results import png
from pem_edge.runtime.versioned_json import JsonObject

DESCRIPTION = (
    "Score an exported model on labeled images: PQ, SQ and RQ as the COCO panoptic API, and mean IoU. "
    "A model that was trained for semantic segmentation is scored by IoU alone."
)

_EXAMPLES = f"""
pem-eval demo --dataset toy:20
pem-eval out/pem.onnx --dataset DIR --save-errors errors
{dataset_options.examples("pem-eval out/pem.onnx")}
"""

_DEFAULT_WORST, _SAVE_ERRORS = 10, "--save-errors"


@dataclass(frozen=True)
class EvalRequest:
    """A request to ``pem-eval``.

    Attributes:
        model: The path of an exported model, or "demo".
        dataset: The location of the labeled images.
        backend: The name of a backend; None for the preferred one.
        threads: The number of CPU threads; None for the backend's choice.
        bf16: Whether to compute in bfloat16.
        limit: The number of images to score, from the first on; None for all.
        semantic: Whether to compute the mean IoU, which takes additional time.
        save_errors: The folder in which to draw the errors of the worst images; None to draw nothing.
        worst: The number of images to draw; None for the default.
        overwrite: Whether to replace existing drawings.
        json: Whether to print JSON instead of a table.

    Raises:
        InputError: If there is a number of images to draw, but no folder.
    """

    model: str
    dataset: DatasetLocation
    backend: str | None
    threads: int | None
    bf16: bool
    limit: int | None
    semantic: bool
    save_errors: Path | None
    worst: int | None
    overwrite: bool
    json: bool

    def __post_init__(self) -> None:
        if self.worst is not None and self.save_errors is None:
            raise shared_options.missing_companion(f"--worst {self.worst}", "--save-errors DIR")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(_parser(), _read, _run, arguments)


def _parser() -> Parser:
    parser = Parser("pem-eval", "MODEL --dataset DIR [options]", DESCRIPTION, _EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="an exported model, such as out/pem.onnx, or demo")
    shared_options.add_backend(parser)
    shared_options.add_threads(parser)
    shared_options.add_bf16(parser)
    parser.add_argument("--limit", metavar="N", type=shared_options.positive, help="score the first N images only")
    parser.add_argument(
        "--semantic",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also compute the mean IoU, which takes more time",
    )
    dataset_options.add(parser)
    group = parser.add_argument_group("drawings of errors")
    group.add_argument(
        _SAVE_ERRORS,
        metavar="DIR",
        type=shared_options.path,
        help="draw the images of lowest PQ, or else IoU, into this folder: image, truth, prediction and errors (red: "
        "wrong class, yellow: wrong segment of the right class, blue: void, which is not scored)",
    )
    worst = f"images to draw; default: {_DEFAULT_WORST}"
    group.add_argument("--worst", metavar="N", type=shared_options.positive, help=worst)
    group.add_argument("--overwrite", action="store_true", help="replace existing drawings")
    return parser


def _read(options: argparse.Namespace) -> EvalRequest:
    return EvalRequest(
        model=options.model,
        dataset=dataset_options.read(options),
        backend=options.backend,
        threads=options.threads,
        bf16=options.bf16,
        limit=options.limit,
        semantic=options.semantic,
        save_errors=options.save_errors,
        worst=options.worst,
        overwrite=options.overwrite,
        json=options.json,
    )


def _run(request: EvalRequest) -> JsonObject:
    model = artifact.read(request.model)  # a wrong path is told before a large dataset is read
    dataset = request.dataset.open()
    for note in notes_of(dataset):
        console.say("pem-eval", note)
    count = min(len(dataset), request.limit or len(dataset))
    with ExitStack() as stack:
        drawings = _plan_drawings(request, count, stack)
        loaded = load(model, request.backend, threads=request.threads, bf16=request.bf16)
        segmenter = stack.enter_context(loaded)
        panoptic = segmenter.task != "semantic"
        console.tell_of_toys("pem-eval", segmenter.manifest.classes)
        _check_task(request, segmenter.task)
        relabeled = for_model(dataset, segmenter.manifest.classes, segmenter.task)
        with tqdm(range(count), unit="image", disable=None) as indices:
            evaluation = evaluate(segmenter, relabeled, indices, semantic=request.semantic, panoptic=panoptic)
        worst = list(_draw_worst(segmenter, relabeled, evaluation, drawings))
        if not request.json:
            output.show_text(table.format_table(evaluation, relabeled.labels))
            if worst:
                output.show(f"wrote {plural(len(worst), 'drawing')} of errors to {request.save_errors}")
        return {
            "model": request.model,
            "backend": segmenter.backend.name,
            "bf16": segmenter.bf16,
            "task": segmenter.task,
            **table.to_record(evaluation, relabeled.labels),
            "worst": worst,
        }


def _check_task(request: EvalRequest, task: Task) -> None:
    """Raise InputError if there is nothing to score, and say what the scores of a model for instances are not."""
    if task == "semantic" and not request.semantic:
        trained = f"{request.model} was trained for semantic segmentation"
        raise InputError(f"{trained}, which only IoU scores: leave --no-semantic out")
    if task == "instance":
        console.say(
            "pem-eval",
            f"{request.model} was trained for instance segmentation: PQ is that of its instances merged without "
            "overlaps; for average precision, give COCO's tools what pem-run --save instances writes",
        )


def _plan_drawings(request: EvalRequest, count: int, stack: ExitStack) -> list[Path]:
    """Return the paths of the drawings, worst image first. Their folder exists until ``stack`` ends.

    Raises:
        OutputError: If the folder cannot be created, or a drawing exists and must not be replaced.
    """
    if request.save_errors is None:
        return []
    folder = stack.enter_context(for_outputs(request.save_errors, option=_SAVE_ERRORS))
    worst = min(request.worst or _DEFAULT_WORST, count)
    paths = [folder / f"worst_{rank:02d}.png" for rank in range(1, worst + 1)]
    for path in paths:
        if path.exists() and not request.overwrite:
            raise OutputError(f"{path} exists already: add --overwrite, or give --save-errors another folder")
    return paths


def _draw_worst(
    segmenter: Segmenter, dataset: Dataset, evaluation: Evaluation, paths: Sequence[Path]
) -> Iterator[JsonObject]:
    """Draw the errors of the images of lowest quality, one per path, and yield a record of each drawing."""
    score = "pq" if evaluation.panoptic else "miou"
    for index, path in zip(evaluation.worst(len(paths)), paths, strict=False):
        sample = dataset[index]
        drawing = error_pictures.draw(sample, segmenter(sample.image), evaluation.image_quality[index])
        png.write(path, drawing, option=_SAVE_ERRORS)
        yield {"image": sample.name, score: evaluation.image_quality[index], "picture": str(path)}


if __name__ == "__main__":
    sys.exit(main())
