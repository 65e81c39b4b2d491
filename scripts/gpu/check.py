"""Everything that a GPU is needed for, in one command that stops by itself.

Leaves gpu_check.json and gpu_check.md in the folder given with -o, written again after every row. Returns 1 if anything
is wrong or, unless it is a dry run, was left out because packages are missing; what there was no time for is in the
report, and no failure.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from pem_edge.runtime.errors import PemError
from pem_edge.runtime.files import temporary_folder
from scripts.gpu import machine, tasks
from scripts.gpu.reporting.report import Report
from scripts.gpu.sections import SECTIONS, obstacle

_MOST_MINUTES = 1440


class Options(NamedTuple):
    """What was asked for."""

    out: Path
    only: Sequence[str]
    headers: Path | None
    minutes: float
    dry: bool


def main() -> int:
    """Run the check and return the exit code."""
    options = _read(_parser())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends what was started, too
    deadline = tasks.Deadline(60 * options.minutes)
    reason = None if options.dry else machine.without_gpu()
    if reason is not None:
        print(f"gpu_check: {reason}; --dry tries it on the CPU", file=sys.stderr)
        return 1
    try:
        with temporary_folder() as folder:
            report = _run(options, folder, deadline)
    except PemError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return 1
    for line in report.failures():
        print(f"gpu_check: {line}", file=sys.stderr)
    print(report.page)
    return int(bool(report.failures() or (report.skipped() and not options.dry)))


def _run(options: Options, folder: Path, deadline: tasks.Deadline) -> Report:
    """Run the sections, which may leave files in ``folder``."""
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    facts = {"date": date, "dry": options.dry, "minutes": options.minutes, "machine": machine.describe()}
    report = Report(options.out, facts, SECTIONS, options.only)
    for name in _leave_out_what_cannot_run(options, report):
        if deadline.allows(0):
            print(f"gpu_check: {name}, {deadline.remaining():.0f} s left", file=sys.stderr)
            tasks.run(_tasks(name, options, folder, deadline), deadline, report.begin(name))
    return report


def _leave_out_what_cannot_run(options: Options, report: Report) -> list[str]:
    """Say which sections lack packages, and return the names of the others."""
    asked = {name: obstacle(name, options.dry) for name in SECTIONS if name in options.only}
    for name, reason in asked.items():
        if reason is not None:
            print(f"gpu_check: {name} is left out, as {reason}", file=sys.stderr)
            report.begin(name).end("skipped", reason)
    return [name for name, reason in asked.items() if reason is None]


def _tasks(name: str, options: Options, folder: Path, deadline: tasks.Deadline) -> Callable[[], Iterable[tasks.Task]]:
    """Return what yields a section's tasks; nothing that may be missing is imported before that is called."""

    def found() -> Iterable[tasks.Task]:
        bench = import_module("scripts.gpu.bench").open_bench(folder, options.headers, options.dry, deadline)
        yield from import_module(SECTIONS[name].module).tasks(bench)

    return found


def _read(parser: argparse.ArgumentParser) -> Options:
    given = parser.parse_args()
    unknown = [name for name in given.only if name not in SECTIONS]
    if unknown:
        parser.exit(2, f"gpu_check: no section {unknown[0]!r}, there are {', '.join(SECTIONS)}\n")
    return Options(given.out, given.only, given.tensorrt_include, given.minutes, given.dry)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("out/gpu_check"), metavar="DIR")
    parser.add_argument("--only", nargs="+", default=list(SECTIONS), metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--tensorrt-include", type=Path, metavar="DIR", help="folder of TensorRT's headers, NvInfer.h")
    parser.add_argument("--minutes", type=_minutes, default=8, help="begin nothing that ends after this; default: 8")
    parser.add_argument("--dry", action="store_true", help="go through all of it on the CPU, with stand-ins")
    return parser


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of minutes above 0, at most {_MOST_MINUTES}")
    return value


if __name__ == "__main__":
    sys.exit(main())
