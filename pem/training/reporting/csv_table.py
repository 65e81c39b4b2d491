"""Tables in files that grow by a row at a time, and that a resumed run continues where its snapshot was."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.files import write_atomically


class CsvTable:
    """A CSV file with a header, whose first column is the step.

    Attributes:
        path: The file, which need not exist.
        columns: The header.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)

    def append(self, row: Sequence[object]) -> None:
        """Add a row, and the header before the first one. Raises OutputError."""
        try:
            new = not self.path.exists()
            with self.path.open("a", newline="") as file:
                csv.writer(file).writerows([self.columns, row] if new else [row])
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def truncate(self, step: int) -> None:
        """Delete the rows of steps after ``step``, and what is no whole row. Raises OutputError."""
        if not self.path.exists():
            return
        rows = [row for row in self._whole_rows() if int(row[0]) <= step]
        with write_atomically(self.path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self.columns, *rows])

    def rows(self) -> list[dict[str, float]]:
        """Return the figures of every whole row, by column, without those that are no numbers. Raises OutputError."""
        if not self.path.exists():
            return []
        return [dict(_figures(zip(self.columns, row, strict=True))) for row in self._whole_rows()]

    def _whole_rows(self) -> list[list[str]]:
        try:
            with self.path.open(newline="", encoding="ascii", errors="replace") as file:
                rows = list(csv.reader(line.replace("\0", "") for line in file))
        except (OSError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot go on with {self.path}: {reason}; remove the file") from error
        return [row for row in rows if len(row) == len(self.columns) and row[0].isdecimal() and len(row[0]) < 16]


def _figures(cells: Iterator[tuple[str, str]]) -> Iterator[tuple[str, float]]:
    for column, text in cells:
        with suppress(ValueError):
            if math.isfinite(figure := float(text)):
                yield column, figure
