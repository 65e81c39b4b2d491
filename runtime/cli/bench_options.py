"""The options of ``pem-bench``, and the requests that they make."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pem_edge.runtime.benchmark import writing
from pem_edge.runtime.benchmark.options import SCENARIOS, Options
from pem_edge.runtime.benchmark.schema import Report
from pem_edge.runtime.cli import console
from pem_edge.runtime.versioned_json import to_json

PROGRAM = "pem-bench"
DESCRIPTION = """``pem-bench``: how fast artifacts are here, where their time goes, and which of them to ship.

pem-bench compare a.json b.json says what changed between two reports.
"""


@dataclass(frozen=True)
class ReportFiles:
    """The files that a report is written to, each in the form of its suffix, and whether they may be replaced."""

    paths: tuple[Path, ...]
    overwrite: bool


@dataclass(frozen=True)
class BenchRequest:
    """What ``pem-bench`` is to do: measure ``models`` and write reports; ``json`` says how standard output is."""

    models: tuple[str, ...]
    options: Options
    outputs: ReportFiles
    json: bool


@dataclass(frozen=True)
class CompareRequest:
    """What ``pem-bench compare`` is to do.

    Attributes:
        before: The file of the earlier report.
        after: The file of the later report.
        stage: The stage that ``fail_if_slower`` is about.
        fail_if_slower: The share of its time by which the stage may be slower, such as 0.05; None for any.
        outputs: The files to write.
        json: Whether JSON is printed instead of a table.
    """

    before: Path
    after: Path
    stage: str
    fail_if_slower: float | None
    outputs: ReportFiles
    json: bool


def read(options: argparse.Namespace, command: str) -> BenchRequest:
    """Return the request that parsed options make. A number of rounds that was given is exact."""
    measured = Options(
        images=options.images,
        rounds=options.rounds or Options.rounds,
        most_rounds=options.rounds or Options.most_rounds,
        backend=options.backend,
        threads=options.threads,
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
    """Return the request that parsed options make."""
    return CompareRequest(
        options.before, options.after, options.stage, options.fail_if_slower, _outputs(options), options.json
    )


def _outputs(options: argparse.Namespace) -> ReportFiles:
    return ReportFiles(tuple(options.output), options.overwrite)


def parser() -> console.Parser:
    """Return the parser of ``pem-bench``."""
    parser = console.Parser(prog=PROGRAM, description=DESCRIPTION)
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="exported models, or demo; others are compared with the first"
    )
    parser.add_argument("--images", metavar="DIR", type=Path, help="pictures to segment; default: generated streets")
    parser.add_argument(
        "--rounds",
        "--runs",
        metavar="N",
        type=console.positive,
        help="every model has one turn in each; default: enough",
    )
    parser.add_argument("--dataset", metavar="DIR", help="labeled images, as pem-eval takes them, for PQ beside speed")
    parser.add_argument("--dataset-limit", metavar="N", type=console.positive, help="score the first N of them only")
    console.add_backend(parser)
    parser.add_argument(
        "--threads", metavar="N", type=console.positive, help="of a CPU backend; default: the backend's choice"
    )
    parser.add_argument(
        "--scenarios",
        metavar="LIST",
        type=_scenarios,
        default=SCENARIOS,
        help=f"any of {', '.join(SCENARIOS)}, separated by commas, or none; default: all",
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_seconds, default=Options.scenario_seconds,
        help="how long each scenario takes; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--cold-start", action=argparse.BooleanOptionalAction, default=True, help="time fresh processes"
    )
    parser.add_argument("--profile", action=argparse.BooleanOptionalAction, default=True, help="time every layer")
    _add_outputs(parser, writing.REPORTS)
    parser.add_argument("--schema", action=_PrintSchema, help="print the JSON Schema of what --json prints")
    return parser


def compare_parser() -> console.Parser:
    """Return the parser of ``pem-bench compare``."""
    parser = console.Parser(prog=f"{PROGRAM} compare", description="What changed from one report to another.")
    parser.add_argument("before", metavar="BEFORE", type=Path, help="a report that pem-bench wrote as .json")
    parser.add_argument("after", metavar="AFTER", type=Path, help="a later one")
    parser.add_argument("--fail-if-slower", metavar="P", type=_percentage, help="such as 5%%: exit code 1 if beyond")
    parser.add_argument("--stage", metavar="S", default="total", help="which stage that is about; default: %(default)s")
    _add_outputs(parser, writing.CHANGES)
    return parser


def _add_outputs(parser: console.Parser, writers: Mapping[str, object]) -> None:
    suffixes = ", ".join(writers)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=_output(tuple(writers)), action="append", default=[],
        help=f"write a report there, in the form of its suffix: {suffixes}; may be repeated",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace reports of earlier runs")


class _PrintSchema(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(to_json(msgspec.json.schema(Report)).decode(), end="")
        parser.exit()


def _seconds(given: str) -> float:
    if re.fullmatch(r"\d{1,6}(\.\d+)?", given) is None:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of seconds")
    return float(given)


def _scenarios(given: str) -> tuple[str, ...]:
    chosen = () if given == "none" else tuple(dict.fromkeys(given.split(",")))
    if not set(chosen) <= set(SCENARIOS):
        raise argparse.ArgumentTypeError(
            f"{given!r} is not out of {', '.join(SCENARIOS)}, separated by commas, or none"
        )
    return chosen


def _percentage(given: str) -> float:
    match = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)\s*%?", given)
    if match is None:
        raise argparse.ArgumentTypeError(f"{given!r} is not a percentage: give one such as 5%")
    return float(match[1]) / 100


def _output(suffixes: tuple[str, ...]) -> Callable[[str], Path]:
    def path(given: str) -> Path:
        if Path(given).suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{given!r} does not end in one of {', '.join(suffixes)}")
        return Path(given)

    return path
