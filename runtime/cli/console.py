"""The shared parts of all commands: common options, one-line errors, exit codes and JSON output."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import TypeVar, cast

from pem_edge.runtime import backends
from pem_edge.runtime.errors import InputError, PemError
from pem_edge.runtime.versioned_json import JsonObject

FAILURE, INTERRUPTED = 1, 130

Request = TypeVar("Request")


class Parser(argparse.ArgumentParser):
    """A parser of command-line arguments that has the options ``--json`` and ``--debug``."""

    def __init__(self, prog: str, description: str | None = None, epilog: str | None = None) -> None:
        super().__init__(prog, None, description, epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        self.add_argument("--debug", action="store_true", help="show tracebacks")


def add_backend(parser: Parser) -> None:
    """Add the option ``--backend``."""
    names = ", ".join(backends.BACKENDS)
    parser.add_argument("--backend", metavar="B", help=f"one of {names}; default: the fastest installed")


def size(text: str) -> tuple[int, int]:
    """Parse ``HxW`` in pixels, for use as an argument's type."""
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: give height x width in pixels, such as 512x1024")
    return int(match[1]), int(match[2])


def fraction(text: str) -> float:
    """Parse a number from 0 to 1, for use as an argument's type."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number between 0 and 1")
    return value


def positive(text: str) -> int:
    """Parse an integer of at least 1, for use as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of 1 or more")
    return int(text)


def missing_companion(option: str, companion: str) -> InputError:
    """Return the error for an option that was given without the option to which it belongs.

    Args:
        option: The option as it was given, such as "--worst 5".
        companion: The missing option, such as "--save-errors DIR".
    """
    return InputError(f"{option} was given without {companion}: add {companion}, or leave out {option}")


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
        action: Carries out the request. Returns the object that ``--json`` prints. Its entry "errors", if any, lists
            what could not be done, one line each.
        arguments: The command-line arguments; ``sys.argv[1:]`` if None.

    Returns:
        The exit code: 0 for success, 1 for an error, 130 for Ctrl-C. Wrong usage exits with 2 within argparse.
    """
    options = parser.parse_args(arguments)
    try:
        with _record_interrupts():
            return _run(parser.prog, lambda: action(read(options)), as_json=options.json, debug=options.debug)
    except KeyboardInterrupt as interruption:
        print(f"{parser.prog}: {interruption.args[0] if interruption.args else 'interrupted'}", file=sys.stderr)
        return INTERRUPTED


def say(program: str, text: str) -> None:
    """Print a progress message to standard error.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed earlier and a library suppressed the exception.
    """
    if _pressed.is_set():
        raise KeyboardInterrupt
    print(f"{program}: {text}", file=sys.stderr, flush=True)


_pressed = Event()


@contextmanager
def _record_interrupts() -> Iterator[None]:
    """Record in ``_pressed``, during the ``with`` block, that Ctrl-C was pressed."""

    def press(_number: int, _frame: FrameType | None) -> None:
        _pressed.set()
        raise KeyboardInterrupt

    _pressed.clear()
    if current_thread() is not main_thread():  # only the main thread may handle signals
        yield
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(program: str, act: Callable[[], JsonObject], *, as_json: bool, debug: bool) -> int:
    try:
        report = act()
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"{program}: {_one_line(error)}", file=sys.stderr)
        return FAILURE
    if as_json:
        print(json.dumps(report))
    errors = cast("list[str]", report.get("errors", []))
    for line in errors:
        print(f"{program}: {line}", file=sys.stderr)
    return FAILURE if errors else 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PemError):
        return text
    return f"unexpected {type(error).__name__}: {text[:300]}; run again with --debug and report it"
