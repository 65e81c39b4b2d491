"""``pem-export`` as its tests call it, and a way not to wait for a graph twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest

from pem_edge.export import artifact
from pem_edge.export.cli import export
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.pem import PEM
from pem_edge.runtime.artifacts.manifest import InputSpec

Refusal = Callable[..., str]
Graphs = dict[tuple[str, Forms, bytes], onnx.ModelProto]
"""What has been traced, by the weights' hash, the forms and the sizes."""


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Return what the command refuses something with: one line, after remarks on progress."""

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert export.main([str(argument) for argument in arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        line = captured.err.splitlines()[-1]
        assert line.startswith("pem-export: ")
        assert "unexpected" not in line
        return line

    return run


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    """Return the graphs traced for a module's tests."""
    return {}


@pytest.fixture
def traced_once(graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports take what was traced before for the same weights, forms and sizes."""
    trace = artifact._trace

    def trace_once(model: PEM, forms: Forms, spec: InputSpec) -> onnx.ModelProto:
        key = (digest(model), forms, msgspec.json.encode(spec))
        if key not in graphs:
            graphs[key] = trace(model, forms, spec)
        copy = onnx.ModelProto()
        copy.CopyFrom(graphs[key])
        return copy

    monkeypatch.setattr(artifact, "_trace", trace_once)


def digest(model: PEM) -> str:
    """Of a model's weights."""
    found = hashlib.sha256(model.variant.encode())
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()
