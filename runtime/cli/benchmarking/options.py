"""The options of ``pem-bench``, and how requests are built from them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from pem_edge.runtime.benchmark import writing
from pem_edge.runtime.benchmark.options import SCENARIOS, Options
from pem_edge.runtime.benchmark.schema import Report
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.cli.benchmarking.requests import DEFAULT_STAGE, BenchRequest, CompareRequest, ReportFiles
from pem_edge.runtime.cli.parser import Parser, SomeOf
from pem_edge.runtime.versioned_json import to_json

PROGRAM = "pem-bench"
DESCRIPTION = "Measure how fast artifacts are on this machine, where their time goes, and which is best."
_EXAMPLES = """
pem-bench demo
pem-bench out/pem.onnx out/pem-int8.onnx -o report.html -o report.json
pem-bench compare before.json after.json --fail-if-slower 5%    # what changed from one report to another
"""


def read(options: argparse.Namespace, command: str) -> BenchRequest:
    """Build the request from parsed options. Raise InputError if they conflict.

    Args:
        options: The parsed options. A number of rounds is exact if it is given.
        command: The command line, for the report.
    """
    measured = Options(
        images=options.images,
        rounds=options.rounds or Options.rounds,
        most_rounds=options.rounds or Options.most_rounds,
        backend=options.backend,
        threads=options.threads,
        bf16=options.bf16,
        scenarios=options.scenarios,
        scenario_seconds=options.seconds,
        cold_starts=Options.cold_starts if options.cold_start else 0,
        profile=options.profile,
        dataset=options.dataset,
        dataset_limit=options.dataset_limit,
        command=command,
    )
    return BenchRequest(tuple(options.models), measured, _outputs(options), options.json)


def read_compare(options: argparse.Namespace) -> CompareRequest:
    """Build the request from parsed options. Raise InputError if they conflict."""
    return CompareRequest(
        options.before, options.after, options.stage, options.fail_if_slower, _outputs(options), options.json
    )


def _outputs(options: argparse.Namespace) -> ReportFiles:
    return ReportFiles(tuple(options.output), options.overwrite)


def parser() -> Parser:
    """Return the parser of ``pem-bench``."""
    parser = Parser(PROGRAM, "MODEL [MODEL ...] [options]", DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="exported models, or demo; others are compared with the first"
    )
    _add_subject_options(parser)
    _add_measurement_options(parser)
    _add_outputs(parser, writing.REPORTS)
    parser.add_argument("--schema", action=_PrintSchema, help="print the JSON Schema of what --json prints")
    return parser


def _add_subject_options(parser: Parser) -> None:
    """Add the options that choose the images and the backend."""
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=shared_options.path,
        help="images to segment; default: generated streets",
    )
    parser.add_argument(
        "--dataset", metavar="DIR", help="labeled images, as pem-eval takes them, to report PQ along with speed"
    )
    parser.add_argument(
        "--dataset-limit", metavar="N", type=shared_options.positive, help="score only the first N of them"
    )
    shared_options.add_backend(parser)
    shared_options.add_threads(parser)
    shared_options.add_bf16(parser)


def _add_measurement_options(parser: Parser) -> None:
    """Add the options that choose what is measured, and for how long."""
    parser.add_argument(
        "--rounds",
        "--runs",
        metavar="N",
        type=shared_options.positive,
        help="rounds, in each of which every model has one turn; default: as many as needed",
    )
    parser.add_argument(
        "--scenarios",
        metavar="LIST",
        type=SomeOf(SCENARIOS, none=True),
        default=SCENARIOS,
        help=f"any of {', '.join(SCENARIOS)}, separated by commas, or none; default: all",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_seconds, default=Options.scenario_seconds,
        help="duration of each scenario; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--cold-start", action=argparse.BooleanOptionalAction, default=True, help="time the start in new processes"
    )
    parser.add_argument("--profile", action=argparse.BooleanOptionalAction, default=True, help="time every layer")


def compare_parser() -> Parser:
    """Return the parser of ``pem-bench compare``."""
    description = "Show what changed from one report to another."
    parser = Parser(f"{PROGRAM} compare", "BEFORE.json AFTER.json [options]", description)
    parser.add_argument(
        "before",
        metavar="BEFORE",
        type=shared_options.path,
        help="a report that pem-bench wrote as .json",
    )
    parser.add_argument("after", metavar="AFTER", type=shared_options.path, help="a later one")
    parser.add_argument(
        "--fail-if-slower", metavar="P", type=_percentage, help="exit with code 1 if slower by more, such as 5%%"
    )
    parser.add_argument("--stage", metavar="S", help=f"stage that --fail-if-slower limits; default: {DEFAULT_STAGE}")
    _add_outputs(parser, writing.CHANGES)
    return parser


def _add_outputs(parser: Parser, writers: Mapping[str, object]) -> None:
    suffixes = ", ".join(writers)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=_output(tuple(writers)), action="append", default=[],
        help=f"write a report in the format of the suffix: {suffixes}; may be repeated",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace existing reports")


class _PrintSchema(argparse.Action):
    """An option that prints the JSON Schema of reports and exits."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(to_json(msgspec.json.schema(Report)).decode(), end="")
        parser.exit()


def _seconds(given: str) -> float:
    if re.fullmatch(r"\d{1,6}(\.\d+)?", given) is None:
        raise argparse.ArgumentTypeError(f"{given!r} must be a number of seconds, such as 3 or 0.5")
    return float(given)


def _percentage(given: str) -> float:
    match = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)\s*%?", given)
    if match is None:
        raise argparse.ArgumentTypeError(f"{given!r} must be a percentage, such as 5%")
    return float(match[1]) / 100


def _output(suffixes: tuple[str, ...]) -> Callable[[str], Path]:
    """Return an argument's type: a path that ends in one of ``suffixes``."""

    def path(given: str) -> Path:
        if Path(given).suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{given!r} must end in {' or '.join(suffixes)}")
        return Path(given)

    return path
