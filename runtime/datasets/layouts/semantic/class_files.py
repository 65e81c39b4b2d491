"""Reading the files in which datasets of label maps list their classes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pem_edge.runtime.datasets.layouts.semantic.class_table import ClassTable
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes, reading

_Class: TypeAlias = "tuple[str, tuple[int, int, int] | None]"
"""The name and the color of a class."""

_MAX_BYTES = 1_000_000
_EXPECTED, _CURE = "a list of classes, a line each", "correct it"

_UNCOUNTED = "__ignore__"
"""What labelme writes before the class of value 0."""


def find(folder: Path, *, colors: bool) -> Path | None:
    """Return the file that lists the classes of maps in ``folder``: there or one folder higher; None if there is none.

    Args:
        folder: The folder of the dataset.
        colors: Whether the maps have colors, so that a file with colors goes before one of names.
    """
    order = [*_WITH_COLORS, *_OF_NAMES] if colors else [*_OF_NAMES, *_WITH_COLORS]
    with reading(folder, InputError, expected="a folder", cure="give a folder that can be read"):
        places = (place / name for place in (folder, folder.resolve().parent) for name in order)
        return next((path for path in places if path.is_file()), None)


def read(path: Path) -> ClassTable:
    """Return the classes that a file lists, in the order of their values.

    Raises:
        InputError: If it is damaged, empty, or has a line that is no class.
    """
    data = read_bytes(path, InputError, limit=_MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    with reading(path, InputError, expected=_EXPECTED, cure=_CURE):
        lines = [line.strip() for line in data.decode("utf-8-sig").rstrip().splitlines()]
        classes = {**_OF_NAMES, **_WITH_COLORS}[path.name](lines, path)
    colors = [color for _, color in classes if color is not None]
    return ClassTable(str(path), [name for name, _ in classes], colors)


def _read_names(lines: Sequence[str], path: Path) -> list[_Class]:
    if "" in lines:
        raise _bad_line(lines.index(""), lines, path, "a name")
    return [(line, None) for line in (lines[1:] if lines[:1] == [_UNCOUNTED] else lines)]


def _read_csv(lines: Sequence[str], path: Path) -> list[_Class]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    header = [cell.lower() for cell in rows[0]] if rows else []
    has_header = {"name", "r", "g", "b"} <= set(header)
    columns = [header.index(column) for column in ("r", "g", "b", "name")] if has_header else [1, 2, 3, 0]
    classes: list[_Class] = []
    for number, row in enumerate(rows[has_header:], int(has_header)):
        if len(row) <= max(columns):
            raise _bad_line(number, lines, path, "name,r,g,b")
        *color, name = (row[column] for column in columns)
        classes.append((name, _color(color, number, lines, path)))
    return classes


def _read_colors(lines: Sequence[str], path: Path) -> list[_Class]:
    classes: list[_Class] = []
    for number, line in enumerate(lines):
        if line.startswith("#") or not line:
            continue
        match = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)", line)
        if match is None:
            raise _bad_line(number, lines, path, "r g b name")
        classes.append((match[4], _color(match.groups()[:3], number, lines, path)))
    return classes


def _color(parts: Sequence[str], number: int, lines: Sequence[str], path: Path) -> tuple[int, int, int]:
    numbers = [int(part) for part in parts if re.fullmatch(r"\d{1,3}", part, re.ASCII) and int(part) <= 255]
    if len(numbers) != 3:
        raise _bad_line(number, lines, path, "red, green and blue from 0 to 255")
    return numbers[0], numbers[1], numbers[2]


def _bad_line(number: int, lines: Sequence[str], path: Path, expected: str) -> InputError:
    return InputError(f"{path} has the line {number + 1} {brief(lines[number])}, expected {expected}: {_CURE}")


_Reader: TypeAlias = Callable[[Sequence[str], Path], "list[_Class]"]

_OF_NAMES: Mapping[str, _Reader] = dict.fromkeys(("classes.txt", "labels.txt", "codes.txt"), _read_names)
_WITH_COLORS: Mapping[str, _Reader] = {"class_dict.csv": _read_csv, "label_colors.txt": _read_colors}

NAMES = (*_OF_NAMES, *_WITH_COLORS)
"""The names of the files, those without colors first."""
