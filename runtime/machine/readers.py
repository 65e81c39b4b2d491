"""Read what a system may or may not tell: never an exception, never more than two seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pem_edge.runtime.outside import child_process

UNKNOWN = "unknown"
_SECONDS = 2.0

_WHOLE = re.compile(r"-?[0-9]{1,18}")
"""A whole number of a size that Linux tells of; those that stand for "no limit" have 19 digits."""


def text(path: Path) -> str | None:
    """Return what is in a file, without blanks and zero bytes at its ends; None if it cannot be read or is empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip(" \t\r\n\0") or None
    except (OSError, ValueError):  # the name may be what another file tells, such as one with a zero byte
        return None


def whole(found: str) -> int | None:
    """Return the whole number that ``found`` is, in ASCII digits, at most 18; None if it is something else."""
    return int(found) if _WHOLE.fullmatch(found) else None


def number(path: Path) -> int | None:
    """Return the whole number in a file, None if it cannot be read or holds something else, see `whole`."""
    return whole(text(path) or "")


def files(folder: Path, pattern: str) -> list[Path]:
    """Return the files in ``folder`` that fit ``pattern``, sorted; none if it cannot be read."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def output(command: Sequence[str]) -> str | None:
    """Return what a command prints; None if it is not there, fails, prints nothing or takes longer than two seconds."""
    try:
        ended = child_process.run(command, _SECONDS)
    except OSError:
        return None
    return (ended.output.strip() or None) if ended.code == 0 else None


def first_line(command: Sequence[str]) -> str | None:
    """Return the first line of a command that goes on until it is stopped; None if none comes within a second."""
    try:
        printed = child_process.run(command, _SECONDS / 2).output
    except OSError:
        return None
    return printed.partition("\n")[0].strip() or None
