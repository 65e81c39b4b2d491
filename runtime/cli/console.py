"""What every command shares: options, one-line errors, exit codes, and JSON alone on standard output."""

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
from typing import TypeVar

from pem_edge.runtime import backends
from pem_edge.runtime.errors import PemError
from pem_edge.runtime.versioned_json import JsonObject

FAILURE, INTERRUPTED = 1, 130


Request = TypeVar("Request")


class Parser(argparse.ArgumentParser):
    """Parses the arguments of a command, ``--json`` and ``--debug`` among them."""

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


def share(text: str) -> float:
    """Parse a number from 0 to 1, for use as an argument's type."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number between 0 and 1")
    return value


def positive(text: str) -> int:
    """Parse a whole number from 1 up, for use as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of 1 or more")
    return int(text)


def run(
    parser: Parser,
    read: Callable[[argparse.Namespace], Request],
    action: Callable[[Request], JsonObject],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a command: parse its arguments, make a request of them, act on that, and print.

    Args:
        parser: The command's parser.
        read: Makes the request that parsed options are for. Raises PemError if they contradict each other.
        action: Does what a request asks for. It returns what ``--json`` prints; an entry "errors", one line each, says
            that part of the work could not be done.
        arguments: The command line's arguments; by default those of the process.

    Returns:
        The exit code: 0, 1 for an error, 2 for wrong usage (by argparse), 130 for Ctrl-C.
    """
    options = parser.parse_args(arguments)
    try:
        with _interrupts_remembered():
            return _run(parser, options, lambda: action(read(options)))
    except KeyboardInterrupt as interruption:
        print(f"{parser.prog}: {interruption.args[0] if interruption.args else 'interrupted'}", file=sys.stderr)
        return INTERRUPTED


def say(program: str, text: str) -> None:
    """Print a remark on progress. Raises KeyboardInterrupt if Ctrl-C was pressed before and a library swallowed it."""
    if _pressed.is_set():
        raise KeyboardInterrupt
    print(f"{program}: {text}", file=sys.stderr, flush=True)


_pressed = Event()


@contextmanager
def _interrupts_remembered() -> Iterator[None]:
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


def _run(parser: Parser, options: argparse.Namespace, act: Callable[[], JsonObject]) -> int:
    try:
        report = act()
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        print(f"{parser.prog}: {_one_line(error)}", file=sys.stderr)
        return FAILURE
    if options.json:
        print(json.dumps(report))
    for line in report.get("errors", ()):
        print(f"{parser.prog}: {line}", file=sys.stderr)
    return FAILURE if report.get("errors") else 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PemError):
        return text
    return f"unexpected {type(error).__name__}: {text[:300]}; run again with --debug and report it"
