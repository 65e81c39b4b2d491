"""The command that an export ends with is the one that comes next for what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pem_edge.export.cli.next_step import after_export
from pem_edge.runtime.artifacts.manifest import Manifest, manifest_path, parse_manifest
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.backends import table
from pem_edge.runtime.installation import how_to_install
from tests.runtime.conftest import Builder, build

__all__ = ["build"]

ENGINE = Engine(target="trt", version="10", gpu="A", compute_capabilities=("9.0",), source=FileHash("x.onnx", "0" * 64))
"""An engine, with whichever form of deformable convolution its ONNX model has."""


def manifest(build: Builder, **fields: object) -> Manifest:
    return parse_manifest(manifest_path(build(**fields)).read_bytes(), "manifest")


@pytest.mark.parametrize("form", ["standard", "plugin", "nvidia"])
def test_an_engine_is_run_next_whatever_it_was_built_of(form: str, build: Builder) -> None:
    assert after_export(Path("x.engine"), manifest(build, engine=ENGINE, deform_conv=form)).startswith(
        "next: pem-run x.engine "
    )


def test_a_model_for_a_plugin_becomes_an_engine_next(build: Builder) -> None:
    said = after_export(Path("x.onnx"), manifest(build, deform_conv="plugin"))
    assert said.endswith(": pem-export --build-plugin && pem-export --weights x.onnx --to trt")


def test_without_a_backend_that_runs_it_onnx_runtime_is_installed_first(
    build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifest(build)
    monkeypatch.setattr(table, "find_spec", lambda _name: None)
    how = how_to_install("ort")
    assert after_export(Path("x.onnx"), found).startswith(
        f"next, once ONNX Runtime is installed ({how}): pem-run x.onnx "
    )
