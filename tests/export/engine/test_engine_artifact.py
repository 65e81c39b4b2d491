"""An engine from an ONNX artifact: what is written beside it, what is kept, and what a failure leaves."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import onnx as onnx_package
import pytest

from pem_edge.export.cli import export
from pem_edge.runtime.artifacts import artifact, onnx_file, pairs
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, Thresholds, manifest_path, parse_manifest
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.files import sha256
from tests.export.conftest import Refusal
from tests.helpers.interruption import interrupt_export

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")


def build(onnx: Path, *options: str) -> Manifest:
    assert export.main(["--weights", str(onnx), "--to", "trt-rtx", *options]) == 0
    (engine,) = onnx.parent.rglob("*.engine")
    return artifact.read(engine).manifest


def embedded(onnx: Path) -> Manifest:
    return parse_manifest(onnx_file.metadata(memoryview(onnx.read_bytes()))[METADATA_KEY].encode(), "inside")


def with_manifest(onnx: Path, **changes: object) -> Path:
    """Return the model with another manifest inside."""
    proto = onnx_package.load(onnx)
    manifest = msgspec.structs.replace(embedded(onnx), **changes)
    onnx_package.helper.set_model_props(proto, {METADATA_KEY: manifest.to_json().decode()})
    onnx_package.save(proto, onnx)
    return onnx


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_engine_lies_beside_the_onnx_and_its_manifest_describes_both(onnx: Path) -> None:
    before = onnx.read_bytes()
    manifest = build(onnx)
    assert names(onnx.parent) == ["street.engine", "street.json", "street.onnx"]
    assert onnx.read_bytes() == before
    assert manifest.engine is not None
    assert manifest.engine.source.sha256 == sha256(onnx)
    assert manifest.verified == {"tensorrt-rtx": "not verified yet"}
    alone = msgspec.structs.replace(manifest, engine=None, model=None, built_by=None, verified={})
    assert alone == msgspec.structs.replace(embedded(onnx), built_by=None)


def test_in_another_folder_the_onnx_comes_along(onnx: Path) -> None:
    build(onnx, "-o", str(onnx.parent / "deep" / "car"))
    assert names(onnx.parent) == ["deep", "street.onnx"]
    folder = onnx.parent / "deep" / "car"
    assert names(folder) == ["street.engine", "street.json", "street.onnx"]
    assert (folder / "street.onnx").read_bytes() == onnx.read_bytes()


@pytest.mark.parametrize("suffix", [".engine", ".onnx"])
def test_a_name_may_be_given(onnx: Path, suffix: str) -> None:
    build(onnx, "-o", str(onnx.parent / "new" / f"lane{suffix}"))
    assert names(onnx.parent / "new") == ["lane.engine", "lane.json", "lane.onnx"]


def test_json_tells_of_the_engine(onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(onnx, "--json", "--inspect", "--optimization-level", "1", "--workspace", "2G")
    report = json.loads(capsys.readouterr().out)
    engine = onnx.with_suffix(".engine")
    assert (report["model"], report["manifest"], report["onnx"]) == (str(engine), str(manifest_path(engine)), str(onnx))
    assert report["parity"]["onnxruntime"]["passed"] is True
    assert report["engine"]["target"] == "trt-rtx"
    assert report["engine"]["seconds"] > 0
    built_by = artifact.read(engine).manifest.built_by
    assert (built_by.optimization_level, built_by.workspace) == ("1", str(2 << 30))
    inspection = json.loads(Path(report["layers"]).read_text())
    assert len(inspection["layers"]) == sum(report["engine"]["layers"].values())


def test_compute_capabilities_are_those_asked_for(onnx: Path) -> None:
    engine = build(onnx, "--compute-capability", "8.6,8.9").engine
    assert engine is not None
    assert engine.compute_capabilities == ("8.6", "8.9")


def test_the_onnx_own_manifest_gives_way_as_it_is_inside_as_well(onnx: Path) -> None:
    own = msgspec.structs.replace(embedded(onnx), model=FileHash(onnx.name, sha256(onnx)))
    manifest_path(onnx).write_bytes(own.to_json())
    assert build(onnx).engine is not None
    assert artifact.read(onnx).manifest == embedded(onnx), "the ONNX still works alone"


def test_a_manifest_that_is_nowhere_else_is_kept(onnx: Path, refusal: Refusal) -> None:
    edited = msgspec.structs.replace(
        embedded(onnx),
        model=FileHash(onnx.name, sha256(onnx)),
        thresholds=Thresholds(score=0.5),
    )
    manifest_path(onnx).write_bytes(edited.to_json())
    assert "street.json exists already: add --overwrite" in refusal("--weights", onnx, "--to", "trt-rtx")
    assert build(onnx, "--overwrite").thresholds.score == 0.5


def test_an_engine_is_built_again_only_when_told_so(onnx: Path, refusal: Refusal) -> None:
    build(onnx)
    before = onnx.with_suffix(".engine").stat().st_mtime_ns
    assert "street.engine exists already: add --overwrite" in refusal("--weights", onnx, "--to", "trt-rtx")
    assert onnx.with_suffix(".engine").stat().st_mtime_ns == before
    assert build(onnx, "--overwrite").engine is not None


def test_a_second_build_of_a_name_is_told(onnx: Path, refusal: Refusal) -> None:
    with pairs.claim(onnx):  # as a first export or build does
        assert "another process is writing" in refusal("--weights", onnx, "--to", "trt-rtx", "--overwrite")
    assert names(onnx.parent) == ["street.onnx"]


def test_a_list_of_layers_is_that_of_the_engine(onnx: Path) -> None:
    build(onnx, "--inspect")
    assert names(onnx.parent) == ["street.engine", "street.json", "street.layers.json", "street.onnx"]
    build(onnx, "--overwrite")
    assert names(onnx.parent) == ["street.engine", "street.json", "street.onnx"]


def test_fp32_that_claims_to_be_fp16_is_refused(onnx: Path, refusal: Refusal) -> None:
    with_manifest(onnx, precision="fp16")
    said = refusal("--weights", onnx, "--to", "trt-rtx")
    assert "claims fp16, but 0 of its" in said
    assert "compute in float16: export the checkpoint again, with --precision fp16" in said
    assert names(onnx.parent) == ["street.onnx"]


@pytest.mark.parametrize("form", ["native", "plugin"])
def test_plugins_are_refused_where_there_are_none(onnx: Path, form: str, refusal: Refusal) -> None:
    with_manifest(onnx, deform_conv=form)
    assert "--deform-conv gather" in refusal("--weights", onnx, "--to", "trt-rtx")


def test_a_graph_with_plugins_under_another_name_is_refused_before_it_ends_the_process(
    onnx: Path, refusal: Refusal
) -> None:
    proto = onnx_package.load(onnx)
    proto.graph.node.append(onnx_package.helper.make_node("DeformConv", ["a", "b", "c"], ["d"]))
    onnx_package.save(proto, onnx)
    assert "holds DeformConv" in refusal("--weights", onnx, "--to", "trt-rtx")


def test_an_operator_that_tensorrt_lacks_is_named(onnx: Path, refusal: Refusal) -> None:
    proto = onnx_package.load(onnx)
    proto.graph.node[-1].op_type, proto.graph.node[-1].domain = "Novelty", "elsewhere"
    onnx_package.save(proto, onnx)
    said = refusal("--weights", onnx, "--to", "trt-rtx")
    assert "Novelty at " in said
    assert "update TensorRT" in said


def test_a_truncated_model_is_refused(onnx: Path, refusal: Refusal) -> None:
    onnx.write_bytes(onnx.read_bytes()[:-5000])
    assert "truncated" in refusal("--weights", onnx, "--to", "trt-rtx")
    assert names(onnx.parent) == ["street.onnx"]


def test_a_model_other_than_its_manifest_says_is_refused(onnx: Path, refusal: Refusal) -> None:
    manifest_path(onnx).write_bytes(
        msgspec.structs.replace(embedded(onnx), model=FileHash(onnx.name, "0" * 64)).to_json()
    )
    assert "vouches for" in refusal("--weights", onnx, "--to", "trt-rtx", "--overwrite")


def test_a_model_of_someone_else_is_refused(onnx: Path, refusal: Refusal) -> None:
    proto = onnx_package.load(onnx)
    del proto.metadata_props[:]
    onnx_package.save(proto, onnx)
    assert "has no manifest" in refusal("--weights", onnx, "--to", "trt-rtx")


def test_too_little_memory_is_one_line_and_leaves_nothing(onnx: Path, refusal: Refusal) -> None:
    said = refusal("--weights", onnx, "--to", "trt-rtx", "--workspace", "1K")
    assert "OutOfMemory" in said
    assert "--workspace" in said.rpartition("): ")[2]
    assert names(onnx.parent) == ["street.onnx"]


def test_a_failure_leaves_the_engine_there_was(onnx: Path, refusal: Refusal) -> None:
    before = build(onnx)
    refusal("--weights", onnx, "--to", "trt-rtx", "--workspace", "1K", "--overwrite")
    assert artifact.read(onnx.with_suffix(".engine")).manifest == before


def test_interrupted_it_leaves_nothing(onnx: Path) -> None:
    interrupt_export("--weights", onnx, "--to", "trt-rtx", at="building an engine", after=0.1)
    assert names(onnx.parent) == ["street.onnx"]
