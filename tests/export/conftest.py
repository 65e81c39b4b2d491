"""``pem-export`` as its tests call it, and a way not to wait for a graph twice."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx
import pytest

from pem_edge.export import artifact
from pem_edge.export.cli import export
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.pem import MaskClassifier
from pem_edge.runtime import files
from pem_edge.runtime.artifacts.manifest import InputSpec

Refusal = Callable[..., str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Return what the command refuses something with: one line, after remarks on progress."""

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert export.main([str(argument) for argument in arguments]) in (1, 2)
        captured = capsys.readouterr()
        assert captured.out == ""
        line = captured.err.splitlines()[-1]
        assert line.startswith("pem-export: ")
        assert "unexpected" not in line
        return line

    return run


@pytest.fixture(scope="session")
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the graphs that this code has traced, which outlives the run if pytest keeps a cache."""
    kept = getattr(request.config, "cache", None)
    parent: Path = kept.mkdir("graphs") if kept else tmp_path_factory.getbasetemp()
    folder = parent / code_hash()
    for other in parent.iterdir() if kept else ():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def traced_once(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports take what was traced before for the same weights, forms and sizes, by whichever test."""
    trace = artifact._trace

    def trace_once(model: MaskClassifier, forms: Forms, spec: InputSpec) -> onnx.ModelProto:
        key = hashlib.sha256(repr((digest(model), forms, msgspec.json.encode(spec))).encode()).hexdigest()
        path = graphs / f"{key}.onnx"
        if not path.exists():
            with files.write_atomically(path) as temporary:
                onnx.save(trace(model, forms, spec), temporary)
        return onnx.load(path)

    monkeypatch.setattr(artifact, "_trace", trace_once)


def code_hash() -> str:
    """Return a hash of all that a traced graph depends on besides the model, the forms and the sizes."""
    found = hashlib.sha256()
    for package in ("torch", "onnx", "onnx-ir", "onnxscript"):
        found.update(f"{package} {version(package)}\n".encode())
    for room in ("pem", "export"):
        for path in sorted((ROOT / room).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def digest(model: MaskClassifier) -> str:
    """Of a model's weights."""
    found = hashlib.sha256(model.variant.encode())
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()
