"""Entry point of the ``pem-doctor`` command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from pem_edge.runtime.cli import console, output
from pem_edge.runtime.cli.doctor import text
from pem_edge.runtime.diagnosis.examination import examine
from pem_edge.runtime.versioned_json import JsonObject

DESCRIPTION = (
    "pem-doctor: say what is installed, which backends work on this machine, and what helps where they do not. "
    "Exit code 0 if one works and nothing is broken."
)
_PROGRAM = "pem-doctor"


@dataclass(frozen=True)
class DoctorRequest:
    """A request to ``pem-doctor``.

    Attributes:
        json: Whether to print JSON instead of text.
    """

    json: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(console.Parser(prog=_PROGRAM, description=DESCRIPTION), _read, _run, arguments)


def _read(options: argparse.Namespace) -> DoctorRequest:
    return DoctorRequest(json=options.json)


def _run(request: DoctorRequest) -> JsonObject:
    console.say(_PROGRAM, "examining this machine, which takes some seconds")
    report = examine()
    if not request.json:
        output.show(*text.lines(report, text.marks()))
    return cast("JsonObject", msgspec.to_builtins(report))
