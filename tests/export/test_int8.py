"""INT8 artifacts say what they cost, cost what was asked for, and are refused where they would be broken."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from pem_edge import pem, runtime
from pem_edge.export.cli.export import main
from pem_edge.export.cli.options import INT8
from pem_edge.export.graph.int8_removal import remove_int8
from pem_edge.export.int8.calibration_images import open_images
from pem_edge.export.int8.gain import advice, verdict
from pem_edge.export.int8.quantize import Quantizer
from pem_edge.export.int8.settings import Calibration
from pem_edge.pem import checkpoints
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Manifest
from pem_edge.runtime.artifacts.sections import Quantization
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets
from pem_edge.runtime.errors import BackendError, InputError
from tests.export.conftest import Refusal

pytestmark = pytest.mark.usefixtures("traced_once")

STREETS = "toy:4:128x256:1"
SMALL = ["--weights", "demo", "--size", "128x256", "--precision", "int8"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    streets = ToyStreets(4, 128, 256, seed=1)
    for index in range(len(streets)):
        Image.fromarray(streets[index].image).save(folder / f"{index}.png")
    return folder


def export(capsys: pytest.CaptureFixture[str], out: Path, *options: str | Path) -> tuple[dict[str, Any], str]:
    """Return the JSON printed, and the remarks."""
    arguments = [*SMALL, "-o", str(out), "--json", *map(str, options)]
    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out), captured.err


def refused(refusal: Refusal, out: Path, *options: str | Path) -> str:
    """Return the one line; nothing is written."""
    line = refusal(*SMALL, "-o", out, *options)
    assert not out.exists() or list(out.iterdir()) == []
    return line


def quantization(path: str) -> Quantization:
    manifest = artifact.read(path).manifest
    assert manifest.precision == "int8"
    assert manifest.quantization is not None
    return manifest.quantization


def test_the_manifest_says_what_is_int8_where_its_scales_come_from_and_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, remarks = export(capsys, tmp_path, "--calib", STREETS)
    found = quantization(printed["model"])
    nodes = {node.name: node for node in onnx.load(printed["model"]).graph.node}
    assert {nodes[name].op_type for name in found.layers} <= {"Conv", "Gemm", "MatMul"}
    assert (found.placement, found.method, found.source, found.images) == ("cpu", "percentile", STREETS, 4)
    assert found.share_of_convolutions > 0.9
    assert 0 < found.share_of_all <= 1
    assert (found.measure, found.miou) == ("PQ", None)
    assert found.pq is not None
    assert found.pq["int8"] == pytest.approx(found.pq["fp32"], abs=5)
    assert found.agreement > 95
    assert set(found.milliseconds) == {"fp32", "int8"}
    said = verdict(artifact.read(printed["model"]).manifest)
    assert said.startswith(f"INT8 gives {found.agreement:.2f} % of pixels the class")
    assert re.search(r"PQ [\d.]+ before and [\d.]+ after, on the pictures of --calib themselves, so others", said)
    assert re.search(r"; on this machine, in \w+, it is ", said)
    assert f"{found.agreement:.2f} % of" not in remarks, "it is said once, in the end"
    assert printed["int8"]["agreement"] == found.agreement
    assert printed["manifest"].endswith("pem-nano-int8.json")
    assert runtime.load(printed["model"])(ToyStreets(1, 128, 256, seed=7)[0].image).segments


def test_without_labels_the_cost_is_in_pixels_that_change_their_class(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, _ = export(capsys, tmp_path, "--calib", pictures, "--calib-method", "max", "--calib-images", "3")
    found = quantization(printed["model"])
    assert (found.measure, found.pq, found.images, found.method) == ("agreement", None, 3, "max")
    assert 90 < found.agreement < 100


def measured(**fields: Any) -> Manifest:  # Any: each field has its own type
    """Return the manifest of the demo in INT8, with these figures."""
    found = Quantization(placement="cpu", method="percentile", source=STREETS, images=4, images_sha256="0" * 64,
                         layers=(), share_of_convolutions=1.0, share_of_all=1.0,
                         **{"agreement": 99.0, **fields})  # fmt: skip
    return msgspec.structs.replace(artifact.read(artifact.DEMO).manifest, precision="int8", quantization=found)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pq": {"fp32": 53.11, "int8": 51.83}}, "1.3 points of PQ are a notable loss: --max-pq-drop 0.5 keeps"),
        ({"miou": {"fp32": 60.0, "int8": 58.0}}, "2.0 points of mean IoU are a notable loss"),
        ({"agreement": 90.0}, "10.0 % of pixels with another class are a notable loss"),
        ({"pq": {"fp32": 53.11, "int8": 52.83}}, None),
        ({"pq": {"fp32": 53.11, "int8": 51.83}, "sensitivity": {"stem": 0.4}}, None),
    ],
)
def test_a_notable_loss_comes_with_what_helps(fields: dict[str, Any], said: str | None) -> None:
    lines = list(advice(measured(**fields)))
    assert any(said in line for line in lines) if said else lines == []


@pytest.mark.parametrize(
    ("installed", "speedup", "place", "hinted"),
    [
        (["onnxruntime"], 1.06, "onnxruntime", True),
        (["onnxruntime"], 0.9, "onnxruntime", True),
        (["onnxruntime"], 1.5, "onnxruntime", False),
        (["openvino", "onnxruntime"], 1.06, "onnxruntime", False),
        (["onnxruntime", "onnxruntime-tensorrt"], 1.06, "onnxruntime", False),
        (["onnxruntime"], 1.06, "a GPU", False),
    ],
)
def test_where_int8_gains_little_another_backend_is_named(
    monkeypatch: pytest.MonkeyPatch, installed: list[str], speedup: float, place: str, hinted: bool
) -> None:
    monkeypatch.setattr(backends, "available", lambda: installed)  # what else is installed here is not the question
    lines = list(advice(measured(milliseconds={"fp32": 10.0 * speedup, "int8": 10.0}, timed_in=place)))
    assert [line.startswith("OpenVINO often gains more") and "[openvino]" in line for line in lines] == [True] * hinted


def cost_of_demo(source: str, remarks: list[str], **fields: Any) -> Quantization:  # Any: each field has its own type
    """Return what the manifest of the demo in INT8, with other ``fields``, says once it was written and read."""
    demo = artifact.read(artifact.DEMO)
    manifest, graph = msgspec.structs.replace(demo.manifest, **fields), onnx.load(demo.model)
    settings = Calibration(source, "cpu", max_drop=50)
    images = open_images(settings, manifest.input, manifest.classes, manifest.task, remarks.append)
    _, found = Quantizer(graph, manifest, images, remarks.append).quantize(graph)
    return msgspec.json.decode(msgspec.json.encode(found), type=Quantization)


def called_stuff() -> tuple[Label, ...]:
    return tuple(msgspec.structs.replace(label, isthing=False) for label in LABELS)


def test_of_a_semantic_model_the_cost_is_in_mean_iou_whatever_is_called_a_thing() -> None:
    remarks: list[str] = []
    found = cost_of_demo("toy:2:128x256:1", remarks, task="semantic", classes=called_stuff())
    assert (found.measure, found.pq) == ("mean IoU", None)
    assert found.miou is not None
    assert found.miou["int8"] == pytest.approx(found.miou["fp32"], abs=5)
    assert any("percentage points of mean IoU, the maximum is 50.00" in line for line in remarks)


def test_of_an_instance_model_the_pixels_of_segments_count(pictures: Path) -> None:
    remarks: list[str] = []
    found = cost_of_demo(str(pictures), remarks, task="instance")
    assert (found.measure, found.pq, found.miou) == ("agreement", None, None)
    assert 90 < found.agreement < 100
    manifest = msgspec.structs.replace(artifact.read(artifact.DEMO).manifest, task="instance", quantization=found)
    assert "% of the pixels of segments the class that" in verdict(manifest)


def test_kinds_of_classes_are_checked_where_pq_is_measured() -> None:
    with pytest.raises(InputError, match="is a thing in the dataset and stuff in the model"):
        cost_of_demo(STREETS, [], classes=called_stuff())


def test_no_more_is_lost_than_may_be(tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = quantization(export(capsys, tmp_path / "whole", "--calib", pictures)[0]["model"])
    most = (100 - whole.agreement) / 2
    found = quantization(export(capsys, tmp_path / "part", "--calib", pictures, "--max-pq-drop", str(most))[0]["model"])
    assert 100 - found.agreement <= most
    assert found.kept
    assert set(found.kept) < set(found.sensitivity)
    assert len(found.layers) < len(whole.layers)
    assert list(found.kept) == sorted(list(found.sensitivity)[: len(found.kept)]), "the most sensitive ones"


def test_statistics_are_not_computed_twice(tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "calibrating" in export(capsys, tmp_path, "--calib", pictures)[1]
    assert "known already" in export(capsys, tmp_path, "--calib", pictures, "--overwrite")[1]


def test_an_onnx_for_an_engine_to_be_built_elsewhere(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, _ = export(capsys, tmp_path, "--calib", pictures, "--placement", "tensorrt")
    model = onnx.load(printed["model"])
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    assert quantization(printed["model"]).placement == "tensorrt"
    assert artifact.read(printed["model"]).manifest.built_by.remainder == "fp16"
    if find_spec("tensorrt_rtx"):
        assert main(["--weights", printed["model"], "--to", "trt-rtx", "-o", str(tmp_path / "engine")]) == 0


@pytest.mark.exhaustive  # tests of the command vary sizes, too
def test_sizes_may_vary(tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--dynamic", "--min-size", "64x64", "--max-size", "128x256", "--max-batch", "2"]
    placement = ["--placement", "tensorrt", "--remainder", "fp32"]
    printed, _ = export(capsys, tmp_path, "--calib", pictures, *placement, *sizes)
    assert quantization(printed["model"]).share_of_convolutions > 0.9
    with runtime.load(printed["model"], backend="onnxruntime") as segmenter:
        assert segmenter(np.zeros((70, 100, 3), np.uint8)).panoptic.shape == (70, 100)
    with pytest.raises(BackendError, match="is quantized for TensorRT, which openvino cannot run accurately"):
        runtime.load(printed["model"], backend="openvino")


def test_taking_int8_out_again_leaves_what_was_quantized(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, _ = export(capsys, tmp_path, "--calib", pictures, "--placement", "tensorrt", "--remainder", "fp32")
    quantized, plain = onnx.load(printed["model"]), remove_int8(onnx.load(printed["model"]))
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in plain.graph.node}
    onnx.checker.check_model(plain, full_check=True)
    image = ToyStreets(1, 128, 256, seed=7)[0].image[None]
    sessions = [onnxruntime.InferenceSession(model.SerializeToString()) for model in (quantized, plain)]
    found, expected = (session.run(["logits"], {"image": image})[0] for session in sessions)
    assert np.mean(found.argmax(axis=2) == expected.argmax(axis=2)) > 0.9
    assert np.abs(found - expected).max() > 0


def test_a_graph_for_cpus_is_refused_for_engines(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    printed, _ = export(capsys, tmp_path, "--calib", pictures)
    assert main(["--weights", printed["model"], "--to", "trt-rtx"]) == 1
    assert "is quantized for CPUs" in capsys.readouterr().err.splitlines()[-1]
    line = refused(refusal, tmp_path / "out", "--calib", pictures, "--remainder", "fp16")
    assert "--remainder fp16 is for TensorRT" in line


@pytest.mark.parametrize("option", sorted(set(INT8) - {"calib"}))
def test_options_of_int8_ask_for_int8(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"--{option.replace('_', '-')}"
    value = {"remainder": "fp16", "calib_method": "mse", "placement": "cpu"}.get(option, "1")
    assert main(["--weights", "demo", name, value, "-o", str(tmp_path / "out")]) == 2
    assert f"{name} is for INT8: add --precision int8" in capsys.readouterr().err


def test_pictures_that_do_not_calibrate(tmp_path: Path, refusal: Refusal) -> None:
    out, empty, same = tmp_path / "out", tmp_path / "empty", tmp_path / "same"
    empty.mkdir()
    same.mkdir()
    for index in range(3):
        Image.fromarray(np.full((64, 96, 3), 90, np.uint8)).save(same / f"{index}.png")
    assert "needs images to calibrate on: add --calib DIR" in refused(refusal, out)
    assert "has no images or videos in it" in refused(refusal, out, "--calib", empty)
    assert "does not exist" in refused(refusal, out, "--calib", tmp_path / "none")
    assert "are identical: give different images" in refused(refusal, out, "--calib", same)
    assert "expected 0 to 100" in refused(refusal, out, "--calib", STREETS, "--max-pq-drop", "-1")


def test_statistics_of_another_checkpoint(tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "seen.npz"
    export(capsys, tmp_path / "out", "--calib", pictures, "--calib-cache", cache)
    other = checkpoints.load("demo")
    with torch.no_grad():
        next(other.parameters()).mul_(1.01)
    pem.save(other, tmp_path / "other.safetensors")
    options = ["--weights", str(tmp_path / "other.safetensors"), *SMALL[2:], "--calib", str(pictures)]
    assert main([*options, "--calib-cache", str(cache), "-o", str(tmp_path / "new")]) == 1
    assert "another checkpoint" in capsys.readouterr().err.splitlines()[-1]


def test_noise_as_pictures_is_remarked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 30, (128, 256, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{index}.png")
    code = main([*SMALL, "--calib", str(tmp_path), "-o", str(tmp_path / "out")])
    captured = capsys.readouterr().err
    assert any("train" in line or "far" in line for line in captured.splitlines()), captured
    assert code in (0, 1)
