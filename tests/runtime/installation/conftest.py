"""Packages as files: their metadata, on the import path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pem_edge.runtime.installation import distributions

Write = Callable[[str, str], None]
METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"
"""The content of a METADATA, for a name and a version."""


@pytest.fixture(autouse=True)
def forget_packages() -> Iterator[None]:
    """Forget which packages were found before."""
    yield
    distributions.installed.cache_clear()


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
