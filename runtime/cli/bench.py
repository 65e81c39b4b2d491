"""Entry point of the ``pem-bench`` command."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from pem_edge.runtime import files
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.benchmark import writing
from pem_edge.runtime.benchmark.comparison import changes, changes_text
from pem_edge.runtime.benchmark.comparison.changes import Changes
from pem_edge.runtime.benchmark.report import text
from pem_edge.runtime.benchmark.run import Interrupted, run
from pem_edge.runtime.benchmark.schema import Report, parse
from pem_edge.runtime.cli import console, output
from pem_edge.runtime.cli.benchmarking import options
from pem_edge.runtime.cli.benchmarking.options import PROGRAM
from pem_edge.runtime.cli.benchmarking.requests import DEFAULT_STAGE, BenchRequest, CompareRequest, ReportFiles
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.versioned_json import JsonObject

_Content = TypeVar("_Content", Report, Changes)

_LONGEST_REPORT = 100_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to ``sys.argv[1:]``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["compare"]:
        return console.run(options.compare_parser(), options.read_compare, _compare, given[1:])

    def read(parsed: argparse.Namespace) -> BenchRequest:
        return options.read(parsed, command=shlex.join([PROGRAM, *given]))

    return console.run(options.parser(), read, _measure, given)


def _measure(request: BenchRequest) -> JsonObject:
    """Measure artifacts and deliver a report, also of a measurement that Ctrl-C interrupts."""
    classes = [artifact.read(model).manifest.classes for model in request.models]  # wrong models are told first
    if request.options.images is not None:
        console.tell_of_toys(PROGRAM, *classes)
    with _outputs(request.outputs):
        try:
            report = run(request.models, request.options, lambda line: console.say(PROGRAM, line))
        except Interrupted as interruption:
            raise console.Interrupted(_deliver(interruption.report, request), str(interruption)) from interruption
        return _deliver(report, request)


@contextmanager
def _outputs(outputs: ReportFiles) -> Iterator[None]:
    """Make sure that the files can be written in the ``with`` block, and leave no empty folders for them."""
    with ExitStack() as folders:
        if not outputs.overwrite:
            for path in outputs.paths:
                files.refuse_existing(path)
        for path in outputs.paths:
            folders.enter_context(for_outputs(path.parent))
        yield


def _deliver(report: Report, request: BenchRequest) -> JsonObject:
    """Print the report as text unless JSON is requested, write its files, and return it as a JSON object."""
    if not request.json:
        output.show_text(text.report(report))
    return _to_record(report, _write(report, writing.REPORTS, request))


def _compare(request: CompareRequest) -> JsonObject:
    before, after = (parse(_read(path), str(path)) for path in (request.before, request.after))
    with _outputs(request.outputs):
        return _deliver_changes(request, before, after)


def _deliver_changes(request: CompareRequest, before: Report, after: Report) -> JsonObject:
    found = changes.compare(before, after, (str(request.before), str(request.after)))
    limit = request.fail_if_slower
    errors = [] if limit is None else changes_text.too_slow(found, request.stage or DEFAULT_STAGE, limit)
    if not request.json:
        output.show_text(changes_text.terminal(found))
    return _to_record(found, [*errors, *_write(found, writing.CHANGES, request)])


def _write(content: _Content, writers: writing.Writers[_Content], request: BenchRequest | CompareRequest) -> list[str]:
    """Write the files of a request, say so, and return the errors of those that could not be written."""
    paths = request.outputs.paths
    errors = list(writing.write(content, writers, paths))
    if paths and not errors and not request.json:
        output.show(f"wrote {', '.join(map(str, paths))}")
    return errors


def _read(path: Path) -> bytes:
    cure = f"make it with pem-bench MODEL -o {path}"
    return read_bytes(path, InputError, limit=_LONGEST_REPORT, expected="a report of pem-bench", cure=cure)


def _to_record(content: msgspec.Struct, errors: list[str]) -> JsonObject:
    """Return ``content`` as a JSON object, with the entry "errors" if there are any."""
    record: JsonObject = msgspec.to_builtins(content)
    return record | ({"errors": errors} if errors else {})


if __name__ == "__main__":
    sys.exit(main())
