"""The options and the types of arguments that several commands have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from pem_edge.runtime import backends
from pem_edge.runtime.backends.settings import MAX_THREADS
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.errors import InputError


def add_backend(parser: Parser | argparse._ArgumentGroup) -> None:
    """Add the option ``--backend``."""
    names = ", ".join(backends.BACKENDS)
    parser.add_argument(
        "--backend",
        metavar="B",
        type=_backend,
        choices=list(backends.BACKENDS),
        help=f"{names}; default: the first of these that is installed and can run the model",
    )


def _backend(name: str) -> str:
    if name not in backends.BACKENDS:
        raise argparse.ArgumentTypeError(backends.unknown(name))
    return name


def add_threads(parser: Parser) -> None:
    """Add the option ``--threads``."""
    parser.add_argument(
        "--threads",
        metavar="N",
        type=whole(1, MAX_THREADS),
        help="CPU threads that run the model; default: one per core, or fewer if that is faster",
    )


def add_bf16(parser: Parser) -> None:
    """Add the option ``--bf16``."""
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="compute in bfloat16: faster and less precise, in OpenVINO on x86 CPUs that do so themselves",
    )


def size(text: str) -> tuple[int, int]:
    """Parse ``HxW`` in pixels, for use as an argument's type."""
    match = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} must be a height and a width in pixels, such as 512x1024")
    return int(match[1]), int(match[2])


def number(text: str) -> float:
    """Parse a number, for use as an argument's type."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number, such as 0.5") from None


def fraction(text: str) -> float:
    """Parse a number from 0 to 1, for use as an argument's type."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number between 0 and 1")
    return value


def whole(least: int, most: int = 1_000_000_000) -> Callable[[str], int]:
    """Return an argument's type: a whole number from ``least``, 0 or more, to ``most``."""

    def parse(text: str) -> int:
        value = int(text) if re.fullmatch(r"[0-9]{1,20}", text) else -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {least} to {most}")
        return value

    return parse


def positive(text: str) -> int:
    """Parse an integer of at least 1, for use as an argument's type."""
    return whole(1)(text)


def path(text: str) -> Path:
    """Return a path, for use as an argument's type. An empty one would be the current folder in silence."""
    if not text:
        raise argparse.ArgumentTypeError("'' must be a path: name one, such as . for the current folder")
    return Path(text)


def named(text: str) -> str:
    """Return a name that is not empty, for use as an argument's type."""
    if not text:
        raise argparse.ArgumentTypeError("'' must be a name or a path: give one, or leave out the option")
    return text


def missing_companion(option: str, companion: str) -> InputError:
    """Return the error for an option that was given without the option to which it belongs.

    Args:
        option: The option as it was given, such as "--worst 5".
        companion: The missing option, such as "--save-errors DIR".
    """
    return InputError(f"{option} was given without {companion}: add {companion}, or leave out {option}")
