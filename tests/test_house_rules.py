"""Rules of the house that can be counted: small folders, requests instead of namespaces, no unexplained Any."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("runtime", "pem", "calibration", "export")
MOST_FILES, MOST_ANY = 12, 25
MADE = {"__pycache__", "lib"}
"""Folders whose files are made, not written."""


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield path, node


@pytest.mark.parametrize("top", [*ROOMS, "tests", "scripts", "reference"])
def test_folders_are_small_enough_to_see_through(top: str) -> None:
    files = (path for path in (ROOT / top).rglob("*") if path.is_file() and not MADE & set(path.parts))
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in files)
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_only_what_reads_a_parsers_options_takes_a_namespace() -> None:
    taking = [
        (path, node.name)
        for path, node in functions()
        if any(each.annotation and "Namespace" in ast.unparse(each.annotation) for each in node.args.args)
    ]
    readers = {"bench.py", "bench_options.py", "console.py", "dataset_options.py", "eval.py", "options.py"}
    readers |= {"run_options.py", "train_options.py"}
    assert {path.name for path, _ in taking} <= readers
    assert {path.parent.name for path, _ in taking} == {"cli"}


def test_every_any_has_its_reason_beside_it() -> None:
    lines = [
        (path.relative_to(ROOT), line)
        for path in sources()
        for line in path.read_text().splitlines()
        if re.search(r"\bAny\b", line.split("#")[0]) and "import" not in line and '"""' not in line
    ]
    assert len(lines) <= MOST_ANY
    assert [line for line in lines if "#" not in line[1]] == []


def test_test_modules_do_not_import_each_other_and_scripts_import_no_tests() -> None:
    between = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if re.search(r"^\s*(from|import) tests\.[\w.]*\btest_", path.read_text(), re.MULTILINE)
    ]
    of_scripts = [
        path for path in (ROOT / "scripts").rglob("*.py") if re.search(r"\btests\.\w+ import", path.read_text())
    ]
    assert (between, of_scripts) == ([], [])
