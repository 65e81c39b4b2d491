"""The folder for the outputs of a command: one of its own for each run, unless the user names one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from pem_edge.runtime import files
from pem_edge.runtime.errors import OutputError

RUNS = Path("runs")
"""Folder in the current one that holds the folders ``1``, ``2``, ... of runs for which the user names none."""


@contextmanager
def for_outputs(given: Path | None, *, option: str = "-o") -> Iterator[Path]:
    """Yield the folder for outputs, which exists during the ``with`` block, and afterwards unless it is empty.

    Args:
        given: The folder that the user named; None for a new one, ``runs/N`` of the next number.
        option: The option that names it, for messages.

    Raises:
        OutputError: If it cannot be created or written.
    """
    places = (RUNS,) if given is None else (given, *given.parents)
    missing = [each for each in places if not os.path.exists(each)]  # noqa: PTH110  # Path.exists may raise
    folder = _create_next(option) if given is None else given
    try:
        files.make_folder(folder, option=option)
        yield folder
    finally:
        for created in (folder, *missing) if given is None else missing:
            with suppress(OSError):  # it holds something, or was never created
                created.rmdir()


def newest_run(holding: str) -> Path | None:
    """Return the folder of the last run for which the user named none and that has a file ``holding``; None if none."""
    folders = (RUNS / str(number) for number in sorted(_numbers(), reverse=True))
    return next((folder for folder in folders if (folder / holding).is_file()), None)


def _create_next(option: str) -> Path:
    try:
        for number in count(max(_numbers(), default=0) + 1):
            with suppress(FileExistsError):  # of another run that started just now
                (RUNS / str(number)).mkdir(parents=True)
                return RUNS / str(number)
    except OSError as error:
        reason = "it is not a folder" if isinstance(error, NotADirectoryError) else error.strerror or error
        raise OutputError(f"cannot write {RUNS}: {reason}; choose another place with {option}") from error
    raise AssertionError("numbers do not end")


def _numbers() -> list[int]:
    """Return the numbers of what is in the folder of runs."""
    with suppress(OSError):
        return [int(each.name) for each in RUNS.iterdir() if each.name.isascii() and each.name.isdecimal()]
    return []
