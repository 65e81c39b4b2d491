"""Entry point of the ``pem-doctor`` command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from pem_edge.runtime.cli import console, output
from pem_edge.runtime.cli.doctor import text
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.diagnosis.examination import examine
from pem_edge.runtime.versioned_json import JsonObject

DESCRIPTION = (
    "Say what is installed, which backends work on this machine, and what helps where they do not.\n\n"
    "Exit code 0 if at least one backend works and nothing is broken, else 1. Names of users, hosts and home folders, "
    "and the values of variables that may be secret, are left out, so that the output can be pasted in public."
)
_EXAMPLES = """\
pem-doctor
pem-doctor --json > report.json     # for a bug report
"""
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
    return console.run(Parser(_PROGRAM, description=DESCRIPTION, examples=_EXAMPLES), _read, _run, arguments)


def _read(options: argparse.Namespace) -> DoctorRequest:
    return DoctorRequest(json=options.json)


def _run(request: DoctorRequest) -> JsonObject:
    console.say(_PROGRAM, "examining this machine, which takes some seconds")
    report = examine()
    if not request.json:
        output.show(*text.lines(report, text.marks()))
    return cast("JsonObject", msgspec.to_builtins(report))
