"""The folder for the outputs of a command: one of its own for each run, unless the user names one."""

from __future__ import annotations

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
    wanted = RUNS / "1" if given is None else given
    missing = [each for each in (wanted, *wanted.parents) if not each.exists()]
    folder = _create_next(option) if given is None else given
    files.make_folder(folder, option=option)
    try:
        yield folder
    finally:
        with suppress(OSError):  # the first that holds something ends this, too
            for created in dict.fromkeys((folder, *missing) if given is None else missing):
                created.rmdir()


def newest_run() -> Path | None:
    """Return the folder of the last run for which the user named none; None if there is none."""
    return RUNS / str(number) if (number := _last_number()) else None


def _create_next(option: str) -> Path:
    try:
        for number in count(_last_number() + 1):
            with suppress(FileExistsError):  # of another run that started just now
                (RUNS / str(number)).mkdir(parents=True)
                return RUNS / str(number)
    except OSError as error:
        raise OutputError(
            f"cannot write {RUNS}: {error.strerror or error}; choose another place with {option}"
        ) from error
    raise AssertionError("numbers do not end")


def _last_number() -> int:
    with suppress(OSError):
        return max(
            (int(each.name) for each in RUNS.iterdir() if each.name.isascii() and each.name.isdecimal()), default=0
        )
    return 0
