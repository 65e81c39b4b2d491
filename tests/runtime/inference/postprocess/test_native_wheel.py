"""Wheels hold the compiled merge where there is a compiler, and are for any platform where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pem_edge.runtime.inference.postprocess.native import build

pytest.importorskip("hatchling", reason="hatchling builds the package")

ROOT = Path(__file__).parents[4]
NATIVE = Path("runtime", "inference", "postprocess", "native")
FILES = ("pyproject.toml", "hatch_build.py", ".gitignore", "README.md", "LICENSE")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the project without what is large or not the runtime's, and with a library of older sources in it."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("demo", "lib", "__pycache__")
    shutil.copytree(ROOT / "runtime", folder / "runtime", ignore=ignored)
    shutil.copytree(ROOT / "pem_edge", folder / "pem_edge", symlinks=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in ("pem", "calibration", "export"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    stale = folder / NATIVE / "lib" / "assignment-0123456789ab-linux-x86_64.so"
    stale.parent.mkdir()
    stale.touch()
    return folder


def built(project: Path, target: str, **environment: str) -> Path:
    """Return the wheel or source distribution that hatchling builds."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", "dist"],
        cwd=project,
        env={**os.environ, "PEM_EDGE_MERGE": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    (path,) = (project / "dist").iterdir()
    return path


def libraries(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(".so")]


def merging(folder: Path) -> str:
    """Return what a package in ``folder`` says of itself."""
    code = "from pem_edge.runtime import postprocess; print(postprocess.merging(), postprocess.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    form, path = done.stdout.split()
    assert Path(path).is_relative_to(folder)
    return form


def test_a_wheel_holds_the_library_and_uses_it(project: Path) -> None:
    try:
        build.find_compiler()
    except build.CompileError as error:
        pytest.skip(str(error))
    wheel = built(project, "wheel")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    assert libraries(wheel) == [f"pem_edge/{NATIVE}/lib/{build.library_path().name}"]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(project / "installed")
    assert merging(project / "installed") == "compiled"


@pytest.mark.parametrize("environment", [{"CC": "no-such-compiler"}, {"PEM_EDGE_MERGE": "numpy"}])
def test_without_a_compiler_or_wish_the_wheel_is_for_any_platform(project: Path, environment: dict[str, str]) -> None:
    wheel = built(project, "wheel", **environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert libraries(wheel) == []
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(project / "installed")
    assert merging(project / "installed") == "numpy"


def test_what_is_demanded_is_not_left_out(project: Path) -> None:
    with pytest.raises(RuntimeError, match="no C compiler found"):
        built(project, "wheel", CC="no-such-compiler", PEM_EDGE_MERGE="compiled")


def test_a_source_distribution_holds_all_that_compiling_needs(project: Path) -> None:
    shutil.unpack_archive(built(project, "sdist"), project / "unpacked")
    (unpacked,) = (project / "unpacked").iterdir()
    assert (unpacked / "hatch_build.py").is_file()
    held = {path.name for path in (unpacked / NATIVE).iterdir()}
    assert held == {path.name for path in build.SOURCES.iterdir()} - {"lib", "__pycache__"}
