"""Machines as files: commands on the PATH, libraries on the import path, folders like /proc and /sys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pem_edge.runtime.diagnosis import libraries
from tests.runtime.installation.conftest import Write, forget_packages, package

__all__ = ["Write", "forget_packages", "package"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what was found out before."""
    yield
    libraries._ask.cache_clear()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that makes a shell script, by its name and lines, the command of that name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name: str, lines: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that puts a package, by its name and code, before those that are installed."""
    monkeypatch.syspath_prepend(tmp_path / "libraries")

    def write(name: str, code: str) -> None:
        folder = tmp_path / "libraries" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(code)

    return write
