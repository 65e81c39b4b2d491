"""ONNX Runtime's TensorRT provider is a backend where it is installed, for those who name it."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.backends import table
from pem_edge.runtime.backends.onnxruntime import OnnxRuntimeTensorRt
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.installation import how_to_install

NAME = "onnxruntime-tensorrt"


@pytest.mark.parametrize("there", [True, False])
def test_it_is_available_where_its_library_is(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / str(backends.BACKENDS[NAME].library)
    library.parent.mkdir(parents=True)
    if there:
        library.touch()
    spec = ModuleSpec("onnxruntime", None, origin=str(tmp_path / "__init__.py"), is_package=True)
    assert spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr(table, "find_spec", lambda name: spec if name == "onnxruntime" else None)
    assert backends.available() == ["onnxruntime", *([NAME] if there else [])]


def test_it_is_not_chosen_unless_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_is_installed", lambda row: row.needs == "onnxruntime")
    assert backends.available_for(artifact.read(tiny)) == ["onnxruntime", NAME]
    loaded = backends.create(None, artifact.read(tiny))
    assert loaded.name == "onnxruntime"
    loaded.close()


def test_without_it_the_backend_says_what_to_install(tiny: Path) -> None:
    with pytest.raises(
        BackendError, match=re.escape(f"is not installed: pip uninstall -y onnxruntime && {how_to_install('ort-gpu')}")
    ):
        backends.create(NAME, artifact.read(tiny))


def test_a_session_that_falls_back_to_the_cpu_is_refused(build: Callable[..., Path]) -> None:
    with pytest.raises(BackendError, match="cannot use TensorRT here: install the TensorRT that it was built for"):
        OnnxRuntimeTensorRt(artifact.read(build()))
