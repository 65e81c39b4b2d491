"""A manifest is read whole or refused in one line, and vouches for exactly one model file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import SCHEMA_VERSION, InputSpec, Range, manifest_path, parse_manifest
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.errors import ArtifactError, ManifestError
from pem_edge.runtime.files import sha256


def edited(path: Path, **fields: Any) -> bytes:
    """Return the manifest at ``path`` with top-level ``fields`` replaced."""
    return json.dumps({**json.loads(path.read_bytes()), **fields}).encode()


def dynamic(name: str, least: int, usual: int, most: int) -> dict[str, Any]:
    """Return an input of 64x64 with one range."""
    return {"height": 64, "width": 64, f"dynamic_{name}": {"least": least, "usual": usual, "most": most}}


WORK = {
    "macs": {"Conv": 96_000_000_000, "MatMul": 4_000_000_000},
    "parameters": 17_000_000,
    "weight_bytes": 68_000_000,
    "activation_bytes": 9_000_000_000,
    "height": 1024,
    "width": 2048,
    "batch": 1,
}


@pytest.fixture
def beside(tiny: Path) -> Path:
    """Return the manifest of the tiny model."""
    return manifest_path(tiny)


def test_reading_what_was_written(tiny: Path, beside: Path) -> None:
    manifest = artifact.read(str(tiny)).manifest
    assert manifest.to_json() == beside.read_bytes()
    assert parse_manifest(manifest.to_json(), "again") == manifest


def test_fields_of_later_minor_versions_are_ignored(beside: Path) -> None:
    assert parse_manifest(edited(beside, mood="good"), "m").variant == "tiny"


def test_the_work_of_a_run_is_optional(beside: Path) -> None:
    older = {name: value for name, value in json.loads(beside.read_bytes()).items() if name != "work"}
    assert parse_manifest(json.dumps(older).encode(), "m").work is None
    with_work = parse_manifest(edited(beside, work=WORK), "m")
    assert with_work.work is not None
    assert with_work.work.macs_total == 100_000_000_000
    assert parse_manifest(with_work.to_json(), "again") == with_work


def test_a_byte_order_mark_is_no_part_of_it(tiny: Path, beside: Path) -> None:
    before = artifact.read(tiny).manifest
    beside.write_text(beside.read_text(), "utf-8-sig")
    assert artifact.read(tiny).manifest == before


@pytest.mark.parametrize("version", [0, -1])
def test_schemas_count_from_one(beside: Path, version: int) -> None:
    with pytest.raises(ManifestError, match=r"Expected `int` >= 1 - at `\$\.schema_version`"):
        parse_manifest(edited(beside, schema_version=version), "m")


def test_newer_schema_asks_for_an_upgrade(tiny: Path, beside: Path) -> None:
    beside.write_bytes(edited(beside, schema_version=SCHEMA_VERSION + 1, classes="no longer a list"))
    with pytest.raises(ManifestError, match=rf"manifest schema {SCHEMA_VERSION + 1}.*install a newer pem-edge"):
        artifact.read(tiny)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": None}, "variant"),
        ({"precision": "fp64"}, "fp64"),
        ({"classes": []}, "there are no classes"),
        ({"queries": 0}, "there are no queries"),
        ({"classes": [{"id": 1, "name": "a", "isthing": True, "color": [0, 0, 0]}]}, "class ids must count from 0"),
        ({"outputs": {"logits": "float32"}}, "outputs must be logits and masks"),
        ({"input": {"height": 64, "width": 0}}, "input sizes must be positive"),
        ({"input": {"height": 60, "width": 64}}, "height 60 is not a multiple of 32"),
        ({"input": {"height": 64, "width": 70}}, "width 70 is not a multiple of 32"),
        ({"input": {"height": 64, "width": 64, "multiple_of": 0}}, "multiple_of must be positive"),
        ({"input": {"height": 64, "width": 64, "dynamic_height": [64, 32, 96]}}, r"Expected `object \| null`"),
        ({"input": dynamic("height", 64, 32, 96)}, "dynamic_height must rise, by 32s"),
        ({"input": dynamic("width", 64, 64, 70)}, "dynamic_width must rise, by 32s"),
        ({"input": dynamic("batch", 0, 1, 2)}, "dynamic_batch must be a rising range of positive sizes"),
        ({"work": {**WORK, "macs": {"Conv": -1}}}, r"Expected `int` >= 0 - at `\$\.work\.macs"),
        ({"work": {**WORK, "parameters": "many"}}, "parameters"),
    ],
)
def test_invalid_fields_are_named(beside: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        parse_manifest(edited(beside, **fields), "pem.json")
    assert str(caught.value).startswith("pem.json is not a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"schema_version": "1"}'])
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(ManifestError, match="is not a manifest of pem-edge"):
        parse_manifest(data, "other.json")


def test_a_changed_model_or_hash_is_noticed(tiny: Path, beside: Path) -> None:
    whole = beside.read_bytes()
    beside.write_bytes(edited(beside, model={"file": "tiny.onnx", "sha256": "0" * 64}))
    with pytest.raises(ManifestError, match="its manifest vouches for 000000000000…: one of the two was replaced"):
        artifact.read(tiny)
    beside.write_bytes(whole)
    tiny.write_bytes(tiny.read_bytes() + b"\0")
    with pytest.raises(ManifestError, match="has SHA-256"):
        artifact.read(tiny)


def test_a_manifest_beside_must_have_a_hash(tiny: Path, beside: Path) -> None:
    beside.write_bytes(edited(beside, model=None))
    with pytest.raises(ManifestError, match="has no hash of it"):
        artifact.read(tiny)


def test_an_unrelated_json_beside_a_model(tiny: Path, beside: Path) -> None:
    beside.write_text('{"name": "a web page"}')
    with pytest.raises(ManifestError, match=r"tiny\.json is not a manifest of pem-edge"):
        artifact.read(tiny)


def test_a_lone_model_brings_its_own(build: Callable[..., Path]) -> None:
    path = build(lone=True)
    manifest = artifact.read(path).manifest
    assert (manifest.variant, manifest.model) == ("tiny", None)


def test_the_manifest_beside_comes_before_the_one_inside(tiny: Path, build: Callable[..., Path]) -> None:
    path = build(lone=True, name="both")
    manifest_path(path).write_bytes(manifest_path(tiny).read_bytes())
    with pytest.raises(ManifestError, match="one of the two was replaced"):
        artifact.read(path)


ENGINE = Engine(
    target="trt",
    version="10.3.0",
    gpu="Orin",
    compute_capabilities=("8.7",),
    source=FileHash("tiny.onnx", "0" * 64),
)


def test_an_onnx_beside_its_engine_brings_its_own(build: Callable[..., Path]) -> None:
    lone = build(lone=True)
    engine = lone.with_suffix(".engine")
    engine.write_bytes(b"compiled")
    fields = {"model": FileHash(engine.name, sha256(engine)), "engine": ENGINE}
    of_engine = msgspec.structs.replace(artifact.read(lone).manifest, **fields)
    manifest_path(engine).write_bytes(of_engine.to_json())
    assert artifact.read(lone).manifest.target == "onnx"
    assert artifact.read(engine).manifest == of_engine
    engine.write_bytes(b"compiled by someone else")
    with pytest.raises(ManifestError, match="one of the two was replaced or edited"):
        artifact.read(engine)


def test_an_engine_needs_a_manifest_of_its_own(tiny: Path) -> None:
    engine = tiny.with_suffix(".engine")
    engine.write_bytes(b"compiled")
    with pytest.raises(ManifestError, match=r"describes no engine: build tiny\.engine again"):
        artifact.read(engine)
    manifest_path(engine).unlink()
    with pytest.raises(ManifestError, match="has no manifest"):
        artifact.read(engine)


def test_no_manifest_anywhere(tiny: Path, beside: Path) -> None:
    beside.unlink()
    with pytest.raises(ManifestError, match=r"neither beside it \(tiny\.json\) nor inside: export it with pem-export"):
        artifact.read(tiny)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.onnx", "does not exist"),
        ("folder.onnx", "is a folder"),
        ("model.pth", "is a checkpoint: export it first"),
        ("model.safetensors", "is a checkpoint: export it first"),
        ("model.json", "is not a model: give the file beside it"),
        ("model.tflite", "has the suffix '.tflite'"),
        ("model", "has the suffix ''"),
        ("empty.onnx", "has no manifest"),
        ("text.onnx", "is damaged or not a model of pem-edge"),
    ],
)
def test_what_is_no_model(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    if name == "folder.onnx":
        path.mkdir()
    elif name != "none.onnx":
        path.write_bytes(b"this is text" if name == "text.onnx" else b"")
    with pytest.raises(ArtifactError, match=message):
        artifact.read(path)


@pytest.mark.parametrize("lone", [False, True])
def test_weights_in_other_files_are_refused(build: Callable[..., Path], lone: bool) -> None:
    def scatter(path: Path) -> None:
        onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0, location="tiny.bin")

    with pytest.raises(ArtifactError, match="keeps weights in other files"):
        artifact.read(build(lone=lone, rewrite=scatter))


def test_a_size_that_is_not_the_models_is_refused_before_memory_is_taken_for_it(build: Callable[..., Path]) -> None:
    path = build(InputSpec(height=64, width=96))
    beside = manifest_path(path)
    beside.write_text(beside.read_text().replace('"height": 64', '"height": 8192'))
    with pytest.raises(ManifestError, match=r"takes images of shape \(1, 64, 96, 3\), its manifest says \(1, 8192, 96"):
        artifact.read(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"height": 64', '"height": 1048576', "batches|pixels|shape"),
        ('"width": 96', '"width": 320000000', "images have more than"),
        ('"batch": 1', '"batch": 1000000', "batches have more than"),
        ('"queries": 3', '"queries": 1000000000', "there are more than"),
        ('"score": 0.8', '"score": 80', "thresholds must be between 0 and 1"),
    ],
)
def test_what_a_manifest_claims_has_limits(build: Callable[..., Path], old: str, new: str, message: str) -> None:
    path = build(InputSpec(height=64, width=96))
    beside = manifest_path(path)
    text = re.sub(re.escape(old.partition(": ")[0]) + r": ?[\d.]+", new, beside.read_text(), count=1)
    assert new in text
    beside.write_text(text)
    with pytest.raises(ManifestError, match=message):
        artifact.read(path)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"{" * 100_000, b"\xff\xfe{}", b'{"schema_version": "\xff"}', b"", b"null"]
)
def test_a_manifest_that_is_no_json_of_ours_is_one_line(build: Callable[..., Path], content: bytes) -> None:
    path = build()
    manifest_path(path).write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        artifact.read(path)
    assert "\n" not in str(caught.value)
    assert manifest_path(path).name in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300 + ".onnx", "loop.onnx", "a\0b.onnx"])
def test_paths_that_cannot_be_opened_are_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop.onnx").symlink_to(tmp_path / "loop.onnx")
    with pytest.raises(ArtifactError) as caught:
        artifact.read(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".onnx", ".engine"])
def test_a_pipe_is_not_waited_for(suffix: str, tmp_path: Path) -> None:
    model = tmp_path / f"street{suffix}"
    os.mkfifo(model)
    with pytest.raises(
        ArtifactError, match=r"street\.\w+ is not a file, expected a model of pem-edge: export it again"
    ):
        artifact.read(model)


def test_a_model_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    model = tmp_path / "street.onnx"
    model.touch()
    os.truncate(model, 50 << 30)
    with pytest.raises(ArtifactError, match=r"street\.onnx has 53687091200 bytes, more than the 4294967296 of a model"):
        artifact.read(model)


def test_range_membership() -> None:
    assert [size in Range(2, 3, 4) for size in (1, 2, 4, 5)] == [False, True, True, False]
