"""Only a library that was built from these sources, for the same TensorRT, is used as the plugin."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pem_edge.runtime.backends.tensorrt import plugins
from pem_edge.runtime.backends.tensorrt.plugins import library, operator
from pem_edge.runtime.errors import BackendError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(library.OVERRIDE, raising=False)
    return tmp_path


def build(version: str) -> Path:
    path = library.cached_path(version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_nothing_is_found_before_a_build(cache: Path) -> None:
    assert plugins.find("10.3.0") is None
    assert not list(cache.iterdir())


def test_a_build_serves_its_minor_version_only(cache: Path) -> None:
    path = build("10.3.0")
    assert path.is_relative_to(cache)
    assert plugins.find("10.3.0.26") == plugins.find("10.3") == path
    assert plugins.find("10.13.3") is None
    assert plugins.find("11.0.0") is None


def test_a_build_from_other_sources_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build("10.3.0")
    edited = tmp_path / "edited"
    shutil.copytree(library.SOURCES, edited)
    monkeypatch.setattr(library, "SOURCES", edited)
    assert plugins.find("10.3.0") == path
    source = edited / "geometry.h"
    source.write_text(source.read_text() + "\n")
    assert plugins.find("10.3.0") is None


def test_the_variable_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("10.3.0")
    own = tmp_path / "own.so"
    own.touch()
    monkeypatch.setenv(library.OVERRIDE, str(own))
    assert plugins.find("10.3.0") == own


def test_a_variable_that_names_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.OVERRIDE, "/nowhere/plugin.so")
    with pytest.raises(BackendError, match=r"^PEM_EDGE_PLUGIN names /nowhere/plugin\.so, .*unset the variable$"):
        plugins.find("10.3.0")


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert library.cached_path("10.3.0").is_relative_to(Path.home() / ".cache")


def test_graphs_and_the_plugin_agree_on_its_name_and_version() -> None:
    header = (library.SOURCES / "plugin.h").read_text()
    assert f'kPluginName = "{operator.NAME}";' in header
    assert f'kPluginVersion = "{operator.VERSION}";' in header
