"""Machines as files: commands on the PATH, libraries and metadata on the import path, folders like /proc and /sys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pem_edge.runtime.diagnosis import libraries
from pem_edge.runtime.installation import distributions

Write = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what was found out before."""
    yield
    distributions.installed.cache_clear()
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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that installs a package's metadata, by its name and the content of METADATA."""
    monkeypatch.syspath_prepend(tmp_path / "metadata")
    distributions.installed.cache_clear()

    def write(name: str, content: str) -> None:
        folder = tmp_path / "metadata" / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_bytes(content.encode("latin-1"))

    return write
