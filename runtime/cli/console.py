"""The shared parts of all commands: common options, one-line errors, exit codes and JSON output."""

from __future__ import annotations

import argparse
import json
import signal
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.cli import output, signals
from pem_edge.runtime.cli.parser import USAGE, Parser
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.outside.quiet_imports import leave_no_folders
from pem_edge.runtime.versioned_json import JsonObject

FAILURE, ENDED_BY_SIGNAL = 1, 128

Request = TypeVar("Request")


class WrongUsage(PemError):  # noqa: N818  # its name says what is wrong
    """Options that contradict each other, or name what there is not."""


class Interrupted(KeyboardInterrupt):
    """An end before its time that leaves something to report.

    Args:
        report: The object that ``--json`` prints.
        message: What to say about the end.
    """

    def __init__(self, report: JsonObject, message: str = "interrupted") -> None:
        super().__init__(message)
        self.report = report


def run(
    parser: Parser,
    read: Callable[[argparse.Namespace], Request],
    action: Callable[[Request], JsonObject],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a command: parse its arguments, build a request from them, carry it out, and print the outcome.

    Args:
        parser: The command's parser.
        read: Builds the request from the parsed options. Raises PemError if they contradict each other.
        action: Carries out the request. Returns the object that ``--json`` prints, or raises `Interrupted` with it. Its
            entry "errors", if any, lists what could not be done, one line each.
        arguments: The command-line arguments; ``sys.argv[1:]`` if None.

    Returns:
        The exit code: 0 for success, 1 for an error, 2 for options that contradict each other, 130 for Ctrl-C, 143 for
        SIGTERM, 129 for SIGHUP. Arguments that cannot be parsed exit with 2 within argparse.
    """
    leave_no_folders()
    with output.streams() as standard_output:
        options = parser.read(arguments)

        def act() -> JsonObject:
            try:
                request = read(options)
            except PemError as error:
                raise WrongUsage(str(error)) from error
            return action(request)

        code = _run_until_asked_to_end(parser.prog, act, as_json=options.json, debug=options.debug)
        standard_output.flush()
        if standard_output.failure is not None:
            reason = standard_output.failure.strerror or standard_output.failure
            output.complain(parser.prog, f"cannot write to standard output: {reason}")
            return code or FAILURE
        return code


def say(program: str, text: str) -> None:
    """Print a progress message to standard error.

    Raises:
        KeyboardInterrupt: If the process was asked to end earlier and a library suppressed the exception.
    """
    if signals.must_stop():
        raise signals.AskedToEnd
    output.complain(program, text)


def tell_of_toys(program: str, *models: Sequence[Label]) -> None:
    """Say what a model has learned if its classes are those of toy streets, as of the model of the package.

    Args:
        program: The name of the command.
        models: The classes of each model.
    """
    from pem_edge.runtime.datasets.toy_streets.classes import are_of_toys

    if any(map(are_of_toys, models)):
        say(
            program,
            "this model has learned generated toy streets, such as demo:street, and nothing of photographs: pem-export "
            "--list shows public weights that have",
        )


def _run_until_asked_to_end(program: str, act: Callable[[], JsonObject], *, as_json: bool, debug: bool) -> int:
    try:
        with signals.heard():
            return _run(program, act, as_json=as_json, debug=debug)
    except KeyboardInterrupt as interruption:
        output.complain(program, str(interruption.args[0]) if interruption.args else "interrupted")
        return ENDED_BY_SIGNAL + (signals.received() or signal.SIGINT)


def _run(program: str, act: Callable[[], JsonObject], *, as_json: bool, debug: bool) -> int:
    try:
        report = act()
    except Interrupted as interruption:
        _print_report(program, interruption.report, as_json=as_json)
        raise
    except Exception as error:
        if signals.caused(error):
            raise signals.AskedToEnd from error
        if debug:
            traceback.print_exc()
        output.complain(program, _one_line(error))
        return USAGE if isinstance(error, WrongUsage) else FAILURE
    return _print_report(program, report, as_json=as_json)


def _print_report(program: str, report: JsonObject, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(report))
    errors = cast("list[str]", report.get("errors", []))
    for line in errors:
        output.complain(program, line)
    return FAILURE if errors else 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PemError):
        return text
    if isinstance(error, MemoryError):
        return "there is not enough memory: close other programs, or choose a smaller size or batch"
    return f"unexpected {type(error).__name__}: {text[:300]}; run again with --debug and report it"
