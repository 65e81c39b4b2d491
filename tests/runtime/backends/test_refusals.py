"""A model that no backend runs here is refused in one line, with what helps on this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.sections import Engine, FileHash, Quantization
from pem_edge.runtime.backends import refusals, table
from pem_edge.runtime.backends.table import can_run
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.installation import distributions, how_to_install

needs_tensorrt_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")

FOR_TENSORRT = Quantization(
    placement="tensorrt",
    method="mse",
    source="street",
    images=1,
    images_sha256="0" * 64,
    layers=(),
    share_of_convolutions=1.0,
    share_of_all=1.0,
    agreement=100.0,
)


def installed(monkeypatch: pytest.MonkeyPatch, python: tuple[int, int] = (3, 11), **builds: str) -> None:
    """Pretend that these builds of ONNX Runtime are installed, in this release of Python."""
    named = {name.replace("_", "-"): version for name, version in builds.items()}
    monkeypatch.setattr(distributions, "onnxruntimes", lambda: named)
    monkeypatch.setattr(sys, "version_info", (*python, 0, "final", 0))


@pytest.mark.parametrize(
    ("python", "builds", "cure"),
    [
        ((3, 11), {"onnxruntime": "1.24.3"}, "here is onnxruntime 1.24.3: pip install 'onnxruntime>=1.25', or "),
        ((3, 10), {"onnxruntime": "1.23"}, "here is onnxruntime 1.23: use the backend openvino"),
        (
            (3, 12),
            {"onnxruntime_gpu": "1.24"},
            "here is onnxruntime-gpu 1.24: pip install 'onnxruntime-gpu>=1.25', or ",
        ),
        (
            (3, 11),
            {"onnxruntime": "1.24", "onnxruntime_gpu": "1.24.3"},
            "here are onnxruntime 1.24 and onnxruntime-gpu 1.24.3: use the backend openvino",
        ),
    ],
)
def test_native_deformable_convolution_needs_a_recent_onnxruntime(
    build: Callable[..., Path],
    python: tuple[int, int],
    builds: dict[str, str],
    cure: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    native = artifact.read(build(deform_conv="native"))
    installed(monkeypatch, python, **builds)
    assert not backends.can_run("onnxruntime", native.manifest)
    assert backends.can_run("openvino", native.manifest)
    with pytest.raises(BackendError) as caught:
        backends.create("onnxruntime", native)
    assert f"has ONNX's DeformConv, which needs onnxruntime>=1.25, and {cure}" in str(caught.value)
    assert str(caught.value).endswith(", or export with --deform-conv standard")


def test_openvino_is_only_proposed_where_it_would_run_the_model(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnxruntime="1.24")
    for available in (["onnxruntime"], ["openvino", "onnxruntime"]):
        monkeypatch.setattr(refusals, "available", lambda names=available: names)
        said = refusals.explain(["onnxruntime"], artifact.read(build(deform_conv="native")))
        assert (f"use the backend openvino ({how_to_install('openvino')})" in said) == ("openvino" not in available)
        assert "use the backend openvino" in said
    said = refusals.explain(["onnxruntime"], artifact.read(build(deform_conv="native", quantization=FOR_TENSORRT)))
    assert said.endswith("pip install 'onnxruntime>=1.25', or export with --deform-conv standard")


def test_a_release_that_is_not_known_counts_as_new(build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, onnxruntime=distributions.DAMAGED)
    assert backends.can_run("onnxruntime", artifact.read(build(deform_conv="native")).manifest)


def test_a_release_matters_only_to_backends_that_run_the_form() -> None:
    row = table.BACKENDS["onnxruntime"]._replace(deform_convs=frozenset({"standard"}))
    assert (row.runs("standard"), row.runs("native")) == (True, False)


@pytest.mark.parametrize(
    ("form", "first"), [("plugin", r"pem-export --build-plugin && "), ("nvidia", ""), ("native", None)]
)
def test_a_form_that_cannot_run_here_comes_with_the_commands_for_where_it_can(
    form: str, first: str | None, build: Callable[..., Path]
) -> None:
    found = artifact.read(build(deform_conv=form))
    refusal = backends.refusals.explain(["openvino"], found)
    command = (
        f", or build the engine it is for, where TensorRT is installed: {first}pem-export --weights {found.model} "
    )
    assert refusal.partition(" cannot run: export with --deform-conv gather")[2] == (
        "" if first is None else f"{command}--to trt"
    )


@needs_openvino
@pytest.mark.parametrize(
    ("form", "cure"),
    [
        (
            "standard",
            "run it in onnxruntime, export with --placement cpu, or build .*: pem-export --weights .* --to trt",
        ),
        ("plugin", "export with --deform-conv gather, or build the engine it is for, where TensorRT is"),
    ],
)
def test_a_graph_quantized_for_tensorrt_is_refused_with_what_helps(
    build: Callable[..., Path], form: str, cure: str
) -> None:
    quantized = artifact.read(build(quantization=FOR_TENSORRT, deform_conv=form))
    with pytest.raises(BackendError, match=cure):
        backends.create("openvino", quantized)


@needs_tensorrt_rtx
def test_a_backend_for_another_kind_of_model(tiny: Path) -> None:
    with pytest.raises(BackendError, match="is for openvino or onnxruntime, not for tensorrt-rtx: leave the backend"):
        backends.create("tensorrt-rtx", artifact.read(tiny))


@pytest.mark.parametrize("form", ["standard", "gather", "native", "plugin", "nvidia"])
def test_tensorrt_rtx_runs_what_needs_no_plugin(form: str, build: Callable[..., Path]) -> None:
    source = FileHash("tiny.onnx", "0" * 64)
    engine = Engine(target="trt-rtx", version="1", gpu="none", compute_capabilities=("8.6",), source=source)
    found = artifact.read(build(deform_conv=form))
    built = artifact.Artifact(Path("tiny.engine"), msgspec.structs.replace(found.manifest, engine=engine))
    assert can_run("tensorrt-rtx", built.manifest) == (form in ("standard", "gather"))


def test_unknown_backend(tiny: Path) -> None:
    with pytest.raises(BackendError, match=r"backend: there is no 'abacus': choose from .*onnxruntime"):
        backends.create("abacus", artifact.read(tiny))


def test_backends_that_are_not_installed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("openvino", "onnxruntime", "tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, module, None)
    assert backends.available() == []
    with pytest.raises(BackendError, match=re.escape(f"openvino is not installed: {how_to_install('openvino')}")):
        backends.create("openvino", artifact.read(tiny))
    with pytest.raises(BackendError, match=re.escape(f"onnxruntime is not installed: {how_to_install('ort')}")):
        backends.create("onnxruntime", artifact.read(tiny))
    with pytest.raises(BackendError, match=re.escape(f"onnxruntime, which is not installed: {how_to_install('ort')}")):
        backends.create(None, artifact.read(tiny))
