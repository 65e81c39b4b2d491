"""A verification compares what a backend computes, and is kept beside the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Range, manifest_path
from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.errors import ArtifactError, BackendError, VerificationError
from pem_edge.runtime.files import sha256
from pem_edge.runtime.loading import load
from pem_edge.runtime.verification import source, standing, verify

Builder = Callable[..., Path]
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
SPEC = InputSpec(height=64, width=96, dynamic_batch=Range(1, 1, 2))


def silent(_text: str) -> None:
    """Say nothing."""


@pytest.mark.parametrize("lone", [True, False])
def test_openvino_is_compared_with_onnx_runtime(build: Builder, lone: bool) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = build(SPEC, lone=lone)
    outcome = verify.verify(artifact.read(model), "openvino", silent)
    assert outcome.complaint is None
    assert outcome.place == "openvino on the CPU"
    kept = artifact.read(model).manifest.verified["openvino"]
    assert kept == outcome.verification
    assert isinstance(kept, Verification)
    assert {(each.batch, each.slot) for each in kept.parity.each} == {(1, 0), (2, 0), (2, 1)}


def test_what_is_wrong_in_openvino_is_not_loaded_there(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = build(SPEC)
    monkeypatch.setattr(verify, "describe", lambda *_arguments: "everywhere: try something else")
    assert verify.verify(artifact.read(model), "openvino", silent).complaint is not None
    for forgotten in (False, True):
        if forgotten:
            standing._here.clear()
        with pytest.raises(VerificationError, match="in openvino on the CPU: export it again, or"):
            load(model, "openvino")
    with load(model, "onnxruntime"):
        pass


def test_the_model_that_comes_with_the_package_stays_as_it_is() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    demo = artifact.read(artifact.DEMO)
    before = manifest_path(demo.model).read_bytes()
    assert verify.verify(demo, "openvino", silent).complaint is None
    assert manifest_path(demo.model).read_bytes() == before


def test_the_manifest_of_an_engine_is_not_replaced_by_that_of_its_onnx(build: Builder) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = build(SPEC, lone=True)
    engine = Engine(
        target="trt", version="10.3", gpu="none", compute_capabilities=(), source=FileHash(model.name, sha256(model))
    )
    described = msgspec.structs.replace(artifact.read(model).manifest, engine=engine)
    manifest_path(model).write_bytes(described.to_json())
    model.with_suffix(".engine").touch()
    said: list[str] = []
    assert verify.verify(artifact.read(model), "openvino", said.append).complaint is None
    assert "cannot be kept in the manifest" in said[-1]
    assert manifest_path(model).read_bytes() == described.to_json()


def test_a_model_that_is_replaced_meanwhile_is_not_verified(build: Builder) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    found = artifact.read(build(SPEC))
    build(InputSpec(height=32, width=32))
    with pytest.raises(ArtifactError, match="has changed since its manifest was read"):
        verify.verify(found, "openvino", silent)


def test_onnx_runtime_on_the_cpu_has_nothing_to_be_compared_with(build: Builder) -> None:
    with pytest.raises(VerificationError, match="is what others are compared with"):
        verify.verify(artifact.read(build(SPEC)), "onnxruntime", silent)


def test_without_onnx_runtime_there_is_nothing_to_compare_with(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "find_spec", lambda _name: None)
    with pytest.raises(BackendError, match="onnxruntime is not installed"):
        source.load(artifact.read(build(SPEC)))
