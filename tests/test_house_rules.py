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

OPTION_READERS = {
    ("export/cli/options.py", "read"),
    *(("export/cli/options.py", f"_{part}") for part in ("engine_request", "graph_request", "refuse", "settings")),
    *(("export/cli/options.py", f"_{part}") for part in ("calibration", "input_request")),
    ("pem/cli/train_request.py", "read"),
    ("pem/cli/train_request.py", "_read_validation"),
    *(("runtime/cli/benchmarking/options.py", name) for name in ("read", "read_compare", "_outputs")),
    ("runtime/cli/bench.py", "read"),
    ("runtime/cli/console.py", "run"),
    ("runtime/cli/data/__init__.py", "read"),
    ("runtime/cli/data/check.py", "read"),
    *(("runtime/cli/dataset_options.py", name) for name in ("read", "read_validation")),
    ("runtime/cli/doctor/__init__.py", "_read"),
    ("runtime/cli/eval.py", "_read"),
    ("runtime/cli/running/options.py", "read"),
}
"""The functions that turn parsed options into a request; `console.run` is given one of them."""


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.relative_to(ROOT), node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.arg]:
    every = function.args
    yield from (*every.posonlyargs, *every.args, *every.kwonlyargs)
    yield from (each for each in (every.vararg, every.kwarg) if each is not None)


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of what a file imports: modules, and names out of modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names(path: Path, name: str) -> Iterator[int]:
    """Yield the lines where a file uses ``name``, other than to import it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.Attribute) and node.attr == name):
            yield node.lineno


@pytest.mark.parametrize("top", [*ROOMS, "tests", "scripts", "reference"])
def test_folders_are_small_enough_to_see_through(top: str) -> None:
    files = (path for path in (ROOT / top).rglob("*") if path.is_file() and not MADE & set(path.parts))
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in files)
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_only_what_reads_a_parsers_options_takes_a_namespace() -> None:
    taking = [
        (path.as_posix(), function.name)
        for path, function in functions()
        if any(each.annotation and "Namespace" in ast.unparse(each.annotation) for each in parameters(function))
    ]
    assert {place for place in taking if place not in OPTION_READERS} == set()
    in_scripts = [
        (path.name, line)
        for path in (ROOT / "scripts").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r": argparse\.Namespace\b", line) and not line.startswith("def _read(")
    ]
    assert in_scripts == []


def test_every_any_has_its_reason_beside_it() -> None:
    uses = [
        (path.relative_to(ROOT).as_posix(), path.read_text().splitlines()[number - 1])
        for path in sources()
        for number in sorted(set(names(path, "Any")))
    ]
    assert len(uses) <= MOST_ANY
    assert [use for use in uses if "#" not in use[1]] == []


def test_test_modules_do_not_import_each_other_and_scripts_import_no_tests() -> None:
    between = [
        (path, name)
        for path in (ROOT / "tests").rglob("*.py")
        for name in imports(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]
    of_scripts = [
        (path, name)
        for folder in ("scripts", "reference")
        for path in (ROOT / folder).rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] == "tests"
    ]
    assert (between, of_scripts) == ([], [])


def test_scripts_put_nothing_of_the_tests_on_the_path() -> None:
    reaching = [
        (path, line)
        for path in (ROOT / "scripts").rglob("*.py")
        for line in path.read_text().splitlines()
        if "sys.path" in line and "tests" in line
    ]
    assert reaching == []
