"""The compiled merge is never used after its sources changed, and does not access memory out of bounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pem_edge.runtime.inference.postprocess.native import build, library
from tests.runtime.helpers import random_assignments

ROOT = Path(__file__).parents[4]
SANITIZE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the sources, which is built and loaded instead."""
    folder = tmp_path / "native"
    shutil.copytree(build.SOURCES, folder, ignore=shutil.ignore_patterns("lib", "__pycache__"))
    monkeypatch.setattr(build, "SOURCES", folder)
    return folder


@pytest.fixture
def compiler() -> list[str]:
    try:
        return build.find_compiler()
    except build.CompileError as error:
        pytest.skip(str(error))


def load_again() -> library.Functions | None:
    """Load the functions again, bypassing the cache."""
    return library.load.__wrapped__()


@pytest.mark.usefixtures("compiler")
def test_a_library_of_other_sources_is_not_used_and_goes_with_the_next_build(sources: Path) -> None:
    assert load_again() is None
    old = build.build_in_place()
    assert load_again() is not None
    with (sources / "lanes.h").open("a") as file:
        file.write("/* changed */\n")
    with pytest.warns(RuntimeWarning, match=r"built from other sources: run python -m pem_edge.*native\.build"):
        assert load_again() is None
    new = build.build_in_place()
    assert load_again() is not None
    assert old != new
    assert list((sources / "lib").iterdir()) == [new]


@pytest.mark.usefixtures("compiler")
def test_what_is_built_already_is_not_built_again(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build.build_in_place()
    monkeypatch.setenv("CC", "no-such-compiler")
    assert build.build_in_place() == path
    assert path.is_relative_to(sources)


@pytest.mark.usefixtures("sources")
def test_without_a_compiler_the_command_says_what_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert build.main() == 1
    assert capsys.readouterr().err == ("error: no C compiler found (cc, gcc, clang): install one, or name it with CC\n")
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(build.CompileError, match=r"no C compiler found \(no-such-compiler -m64\)"):
        build.build_in_place()


@pytest.mark.usefixtures("compiler")
def test_what_does_not_compile_leaves_nothing(sources: Path) -> None:
    (sources / "processor.c").write_text("#error too old\n")
    with pytest.raises(build.CompileError, match=r"does not compile the merge: .*too old"):
        build.build_in_place()
    assert list((sources / "lib").iterdir()) == []


@pytest.mark.usefixtures("sources")
def test_a_damaged_library_is_a_warning() -> None:
    path = build.library_path()
    path.parent.mkdir()
    path.write_bytes(b"\x7fELF")
    with pytest.warns(RuntimeWarning, match=r"does not load .*; until then NumPy merges"):
        assert load_again() is None


def test_it_keeps_to_its_memory_and_to_defined_behavior(compiler: list[str], tmp_path: Path) -> None:
    watched = tmp_path / "assignment.so"
    try:
        build.compile_library(watched, SANITIZE)
    except build.CompileError as error:
        pytest.skip(f"the compiler has no sanitizers: {error}")
    asked = subprocess.run([*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    if not Path(asked.stdout.strip()).is_absolute():
        pytest.skip("the compiler's address sanitizer cannot be loaded into Python")
    environment = {
        **os.environ,
        "LD_PRELOAD": asked.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps memory to its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    done = subprocess.run(
        [sys.executable, "-m", random_assignments.__name__, str(watched)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
