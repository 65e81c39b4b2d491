"""``pem-bench``: how fast artifacts are here, where their time goes, and which of them to ship.

pem-bench compare a.json b.json says what changed between two reports.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pem_edge.runtime.benchmark import writing
from pem_edge.runtime.benchmark.comparison import changes, changes_text
from pem_edge.runtime.benchmark.options import SCENARIOS, Options
from pem_edge.runtime.benchmark.report import text
from pem_edge.runtime.benchmark.schema import Report, parse
from pem_edge.runtime.cli import console
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.versioned_json import to_json

_PROGRAM = "pem-bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["compare"]:
        return console.run(_compare_parser(), _compare, given[1:])
    command = shlex.join([_PROGRAM, *given])
    return console.run(_parser(), lambda options: _measure(options, command), given)


def _parser() -> console.Parser:
    parser = console.Parser(prog=_PROGRAM, description=__doc__)
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="exported models, or demo; others are compared with the first"
    )
    parser.add_argument("--images", metavar="DIR", type=Path, help="pictures to segment; default: generated streets")
    parser.add_argument(
        "--rounds", "--runs", metavar="N", type=_count, help="in each, every model has one turn; default: enough"
    )
    parser.add_argument("--dataset", metavar="DIR", help="labelled images, as pem-eval takes them, for PQ beside speed")
    parser.add_argument("--dataset-limit", metavar="N", type=_count, help="score the first N of them only")
    parser.add_argument("--backend", metavar="B", help="default: the fastest installed")
    parser.add_argument("--threads", metavar="N", type=_count, help="of a CPU backend; default: the backend's choice")
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


def _compare_parser() -> console.Parser:
    parser = console.Parser(prog=f"{_PROGRAM} compare", description="What changed from one report to another.")
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


def _count(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is no number from 1 up")
    return int(given)


def _seconds(given: str) -> float:
    if re.fullmatch(r"\d{1,6}(\.\d+)?", given) is None:
        raise argparse.ArgumentTypeError(f"{given!r} is no number of seconds")
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
        raise argparse.ArgumentTypeError(f"{given!r} is no percentage, such as 5%")
    return float(match[1]) / 100


def _output(suffixes: tuple[str, ...]) -> Callable[[str], Path]:
    def path(given: str) -> Path:
        if Path(given).suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{given!r} does not end in one of {', '.join(suffixes)}")
        return Path(given)

    return path


def _measure(options: argparse.Namespace, command: str) -> dict[str, Any]:
    from pem_edge.runtime.benchmark.run import Interrupted, run

    writing.check(options.output, overwrite=options.overwrite)
    try:
        report = run(options.models, _asked(options, command), lambda line: console.say(_PROGRAM, line))
    except Interrupted as interruption:
        record = _delivered(interruption.report, options)
        if options.json:
            print(json.dumps(record))
        raise
    return _delivered(report, options)


def _delivered(report: Report, options: argparse.Namespace) -> dict[str, Any]:
    if not options.json:
        print(text.report(report))
    return _finished(report, list(writing.write(report, writing.REPORTS, options.output)))


def _asked(options: argparse.Namespace, command: str) -> Options:
    """The options that were given; the rest is as by default. A number of rounds that was asked for is exact."""
    rounds = {} if options.rounds is None else {"rounds": options.rounds, "most_rounds": options.rounds}
    return Options(
        images=options.images,
        backend=options.backend,
        threads=options.threads,
        scenarios=options.scenarios,
        scenario_seconds=options.seconds,
        cold_starts=Options.cold_starts if options.cold_start else 0,
        profile=options.profile,
        dataset=options.dataset,
        dataset_limit=options.dataset_limit,
        command=command,
        **rounds,
    )


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    writing.check(options.output, overwrite=options.overwrite)
    before, after = (parse(_read(path), str(path)) for path in (options.before, options.after))
    found = changes.compare(before, after, (str(options.before), str(options.after)))
    errors = (
        [] if options.fail_if_slower is None else changes_text.too_slow(found, options.stage, options.fail_if_slower)
    )
    if not options.json:
        print(changes_text.terminal(found))
    return _finished(found, [*errors, *writing.write(found, writing.CHANGES, options.output)])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; make it with pem-bench MODEL -o {path}") from error


def _finished(content: msgspec.Struct, errors: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.to_builtins(content)
    return record | ({"errors": errors} if errors else {})


if __name__ == "__main__":
    sys.exit(main())
