"""``pem-data check``: what is wrong with pictures and labels, before a training runs for hours."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
from tqdm import tqdm

from pem_edge.runtime import files
from pem_edge.runtime.cli import console, dataset_options, output, shared_options, signals
from pem_edge.runtime.cli.data import text
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.datasets import representatives
from pem_edge.runtime.datasets.checks import contact_sheet
from pem_edge.runtime.datasets.checks.check import conclude
from pem_edge.runtime.datasets.checks.schema import Findings
from pem_edge.runtime.datasets.checks.survey import Survey
from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.results import png
from pem_edge.runtime.versioned_json import JsonObject, to_json

DESCRIPTION = (
    "Read all images and labels of a dataset, and say what is wrong with them before a training runs for hours: broken "
    "files, images without labels, classes that never occur, images that occur twice or are in the validation set, too."
    "\n\nExit code 0 if it can be trained on, 1 if a sample is broken."
)
EXAMPLES = """
pem-data check DIR
pem-data check DIR --val DIR -o report
pem-data check toy:20 --json
"""
_MOST_ERRORS = 10
_SHEET, _REPORT = "contact_sheet.png", "report.json"


@dataclass(frozen=True)
class CheckRequest:
    """A request to ``pem-data check``.

    Attributes:
        dataset: The location of the labeled images.
        val: The location of those for validation; None if there are none.
        output: The folder for the report and the contact sheet; None to write neither.
        overwrite: Whether to replace existing ones.
        json: Whether to print JSON instead of text.
    """

    dataset: DatasetLocation
    val: DatasetLocation | None
    output: Path | None
    overwrite: bool
    json: bool


def parser() -> Parser:
    """Return the parser of ``pem-data check``."""
    made = Parser("pem-data check", "DIR [options]", DESCRIPTION, EXAMPLES)
    made.add_argument("folder", metavar="DIR", nargs="?", help="the dataset, as --dataset names it")
    dataset_options.add_validation(made, "DIR", "the dataset for validation, to check, too")
    made.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=shared_options.path,
        help=f"write {_REPORT} and {_SHEET}, samples with their labels drawn over, into this folder",
    )
    made.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    dataset_options.add(made)
    return made


def read(options: argparse.Namespace) -> CheckRequest:
    """Return what is asked for. Raises InputError if no dataset is named, or two for one purpose."""
    if options.folder is not None:
        if options.dataset is not None:
            raise InputError(
                f"two datasets, {options.folder} and {options.dataset}: name one; for validation, give --val"
            )
        options.dataset = options.folder
    dataset = dataset_options.read(options)
    return CheckRequest(
        dataset=dataset,
        val=dataset_options.read_validation(options, dataset),
        output=options.output,
        overwrite=options.overwrite,
        json=options.json,
    )


def run(request: CheckRequest) -> JsonObject:
    """Check the datasets, show and write what was found, and return it."""
    with ExitStack() as stack:
        folder = None if request.output is None else stack.enter_context(for_outputs(request.output))
        for name in (_SHEET, _REPORT):
            if folder and not request.overwrite:
                files.refuse_existing(folder / name)
        dataset = request.dataset.open()
        val = None if request.val is None else request.val.open()
        for note in dict.fromkeys((*notes_of(dataset), *(() if val is None else notes_of(val)))):
            console.say("pem-data", note)
        train = _survey(dataset, "images")
        findings = conclude(train, None if val is None else _survey(val, "images of --val"))
        report = {**cast("JsonObject", msgspec.to_builtins(findings)), "errors": _errors(findings)}
        if not request.json:
            output.show(*text.lines(findings))
        if folder:
            _write(folder, report, dataset, train, quiet=request.json)
        return report


def _survey(dataset: Dataset, what: str) -> Survey:
    with tqdm(range(len(dataset)), what, unit="image", disable=None) as indices:
        return Survey(dataset, _while_wanted(indices))


def _while_wanted(indices: Iterable[int]) -> Iterator[int]:
    """Yield ``indices``. Raises KeyboardInterrupt if the end was asked for, and a library suppressed that exception."""
    for index in indices:
        if signals.must_stop():
            raise signals.AskedToEnd
        yield index


def _errors(findings: Findings) -> list[str]:
    """Return a line for each of the first broken samples, and one for all others."""
    broken = [fault.message for found in (findings.train, findings.val) if found for fault in found.of_kind("broken")]
    more = len(broken) - _MOST_ERRORS
    rest = [f"{more} more samples are broken: --json lists all of them"] if more > 0 else []
    return [*broken[:_MOST_ERRORS], *rest]


def _write(folder: Path, report: JsonObject, dataset: Dataset, survey: Survey, *, quiet: bool) -> None:
    """Write the report and, if any sample can be read, the contact sheet."""
    written = [folder / _REPORT]
    with files.write_atomically(written[0]) as temporary:
        temporary.write_bytes(to_json(report))
    if survey.readable:
        chosen = [survey.readable[number] for number in representatives.choose(survey.present, contact_sheet.MOST)]
        written.append(folder / _SHEET)
        png.write(written[1], contact_sheet.draw(dataset, chosen))
    if not quiet:
        output.show(f"wrote {' and '.join(map(str, written))}")
