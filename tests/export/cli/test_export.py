"""``pem-export`` as its users meet it: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch

from pem_edge import pem, runtime
from pem_edge.export import artifact, parity
from pem_edge.export.cli import export, options, parser
from pem_edge.export.cli.requests import GraphRequest
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.artifacts import onnx_file, pairs
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, parse_manifest
from pem_edge.runtime.artifacts.sections import Work
from pem_edge.runtime.backends import table
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.installation import distributions
from pem_edge.runtime.verification.sample_images import sample_image
from reference.weights import randomized
from tests.export.conftest import Refusal
from tests.helpers.interruption import interrupt_export

pytestmark = pytest.mark.usefixtures("traced_once")

SMALL = ["--size", "64x96"]
AUTO = "native" if backends.runs_here("native") else "standard"
"""The form of deformable convolutions that nobody chose."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    pem.save(randomized(pem.build("pem-nano", num_classes=19)), path)
    return path


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    assert export.main(["--weights", str(weights), *SMALL, "-o", str(folder)]) == 0
    return folder / "pem-nano.onnx"


needs_native = pytest.mark.skipif(AUTO != "native", reason="no backend here runs DeformConv")


def runnable(manifest: Manifest) -> list[str]:
    """Return the installed backends that run an artifact, which its parity was checked in."""
    return [name for name in backends.available() if backends.can_run(name, manifest)]


def test_an_artifact_is_a_model_and_its_manifest(exported: Path, weights: Path) -> None:
    assert sorted(path.name for path in exported.parent.iterdir()) == ["pem-nano.json", "pem-nano.onnx"]
    manifest = parse_manifest(exported.with_suffix(".json").read_bytes(), "manifest")
    assert (manifest.variant, manifest.precision, manifest.deform_conv) == ("pem-nano", "fp32", AUTO)
    assert (manifest.input.height, manifest.input.width, manifest.input.batch) == (64, 96, 1)
    assert [label.name for label in manifest.classes][:2] == ["road", "sidewalk"]
    assert manifest.checkpoint.file == weights.name
    work = work_of(exported)
    assert (work.height, work.width, work.batch) == (64, 96, 1)
    assert work.parameters == sum(parameter.numel() for parameter in pem.load(weights).parameters())
    assert {"pem-edge", "torch", "onnx", "opset", "upsample"} <= set(msgspec.to_builtins(manifest.built_by))
    assert all(result.passed for result in manifest.parity.values())
    assert list(manifest.parity) == runnable(manifest)


def test_the_model_carries_the_manifest_less_its_own_hash(exported: Path) -> None:
    beside = parse_manifest(exported.with_suffix(".json").read_bytes(), "beside")
    inside = parse_manifest(onnx_file.metadata(memoryview(exported.read_bytes()))[METADATA_KEY].encode(), "inside")
    assert inside.model is None
    assert beside.model is not None
    assert {**vars_of(beside), "model": None} == vars_of(inside)


def work_of(model: Path) -> Work:
    found = parse_manifest(model.with_suffix(".json").read_bytes(), "manifest").work
    assert found is not None
    return found


def vars_of(manifest: Manifest) -> dict[str, object]:
    return {field: getattr(manifest, field) for field in manifest.__struct_fields__}


def test_the_model_is_one_valid_file(exported: Path) -> None:
    proto = onnx.load(exported, load_external_data=False)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.producer_name == "pem-edge"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_runtime_computes_what_the_module_computes(exported: Path, weights: Path, backend: str) -> None:
    if backend not in runnable(artifacts.read(exported).manifest):
        pytest.skip(f"{backend} is not installed, or too old")
    image = sample_image(64, 96, seed=5)
    with torch.inference_mode():
        logits, masks = pem.load(weights)(torch.from_numpy(image)[None])
    with runtime.load(exported, backend) as segmenter:
        result = segmenter(image)
    np.testing.assert_allclose(result.outputs()[0], logits[0].numpy(), rtol=0, atol=1e-3)
    np.testing.assert_allclose(result.outputs()[1], masks[0].numpy(), rtol=0, atol=5e-3)


def test_json_is_one_object_and_nothing_else(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "deep" / "street.onnx"
    assert export.main(["--weights", str(weights), *SMALL, "-o", str(model), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == str(model)
    assert report["manifest"] == str(model.with_suffix(".json"))
    assert [each["passed"] for each in report["parity"].values()] == [True] * len(
        runnable(artifacts.read(model).manifest)
    )
    assert model.exists()


def test_a_dynamic_artifact_takes_any_size_and_batch_of_its_ranges(
    weights: Path, exported: Path, tmp_path: Path
) -> None:
    ranges = ["--dynamic", "--min-size", "64x64", "--max-size", "128x192", "--max-batch", "2"]
    assert export.main(["--weights", str(weights), *SMALL, *ranges, "-o", str(tmp_path)]) == 0
    assert work_of(tmp_path / "pem-nano.onnx").macs == work_of(exported).macs, "at the usual size"
    with runtime.load(tmp_path / "pem-nano.onnx") as segmenter:
        assert segmenter.manifest.input.dynamic
        assert segmenter.backend(np.zeros((2, 128, 64, 3), np.uint8))[1].shape == (2, 50, 32, 16)
        assert segmenter(sample_image(70, 100, seed=0)).panoptic.shape == (70, 100)


@needs_native
def test_the_forms_asked_for_are_the_forms_in_the_graph(weights: Path, tmp_path: Path) -> None:
    forms = ["--deform-conv", "native", "--upsample", "transposed"]
    assert export.main(["--weights", str(weights), *SMALL, *forms, "-o", str(tmp_path)]) == 0
    operators = {node.op_type for node in onnx.load(tmp_path / "pem-nano.onnx").graph.node}
    assert {"DeformConv", "ConvTranspose"} <= operators
    manifest = parse_manifest((tmp_path / "pem-nano.json").read_bytes(), "manifest")
    assert (manifest.deform_conv, manifest.built_by.upsample) == ("native", "transposed")
    assert list(manifest.parity) == runnable(manifest)


def test_gathers_run_in_every_backend(weights: Path, tmp_path: Path) -> None:
    assert export.main(["--weights", str(weights), *SMALL, "--deform-conv", "gather", "-o", str(tmp_path)]) == 0
    manifest = parse_manifest((tmp_path / "pem-nano.json").read_bytes(), "manifest")
    assert manifest.deform_conv == "gather"
    assert "GridSample" not in {node.op_type for node in onnx.load(tmp_path / "pem-nano.onnx").graph.node}
    assert list(manifest.parity) == [name for name in backends.available() if backends.BACKENDS[name].target == "onnx"]
    assert all(result.passed for result in manifest.parity.values())


@pytest.mark.parametrize(("variant", "expected"), [("pem-nano", "gather"), ("proscale-r50", "nvidia")])
def test_auto_goes_by_what_the_model_samples_with(variant: str, expected: str) -> None:
    request = options.read(parser.parser().parse_args(["--weights", "street.pth", "--to", "trt"]))
    assert isinstance(request, GraphRequest)
    with torch.device("meta"):
        model = pem.build(variant, num_classes=2)
    assert export._forms(request, model, has_plugin=False).deform_conv == expected


@needs_native
def test_an_onnx_with_our_plugin_is_proved_here_and_runs_nowhere_but_in_an_engine(
    weights: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    assert export.main(["--weights", str(weights), *SMALL, "--deform-conv", "plugin", "-o", str(tmp_path)]) == 0
    assert "DeformConv" not in {node.op_type for node in onnx.load(tmp_path / "pem-nano.onnx").graph.node}
    manifest = parse_manifest((tmp_path / "pem-nano.json").read_bytes(), "manifest")
    assert manifest.deform_conv == "plugin"
    assert work_of(tmp_path / "pem-nano.onnx").macs_total == work_of(exported).macs_total
    assert all(result.passed for result in manifest.parity.values())
    model = tmp_path / "pem-nano.onnx"
    command = f"where TensorRT is installed: pem-export --build-plugin && pem-export --weights {model} --to trt"
    with pytest.raises(BackendError, match=f"or build the engine it is for, {command}"):
        runtime.load(model)
    assert capsys.readouterr().out.splitlines()[-1] == f"next, {command}"
    assert command in refusal("--verify", model)


@pytest.mark.parametrize("form", ["native", "plugin"])
def test_an_onnx_that_nothing_here_could_prove_is_refused_before_it_is_computed(
    form: str, weights: Path, tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "onnxruntimes", lambda: {"onnxruntime": "1.24.3"})
    monkeypatch.setattr(table, "available", lambda: ["onnxruntime"])
    monkeypatch.setattr(parity, "measure", lambda *_: pytest.fail("it takes seconds"))
    said = refusal("--weights", weights, *SMALL, "--deform-conv", form, "-o", tmp_path)
    model = tmp_path / "pem-nano.onnx"
    assert f"nothing was written: {model} has ONNX's DeformConv, which needs onnxruntime>=1.25, and here is" in said
    assert list(tmp_path.iterdir()) == []


def test_a_second_export_to_a_name_is_told(weights: Path, tmp_path: Path, refusal: Refusal) -> None:
    with pairs.claim(tmp_path / "street.onnx"):  # as a first export does
        said = refusal("--weights", weights, *SMALL, "-o", tmp_path / "street.onnx", "--overwrite")
    assert f"another process is writing {tmp_path / 'street'}: wait until it has ended" in said
    assert list(tmp_path.iterdir()) == []


def test_half_precision_goes_by_another_name(weights: Path, tmp_path: Path) -> None:
    half = ["--precision", "fp16", "--outputs", "float16"]
    assert export.main(["--weights", str(weights), *SMALL, *half, "-o", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pem-nano-fp16.json", "pem-nano-fp16.onnx"]
    manifest = parse_manifest((tmp_path / "pem-nano-fp16.json").read_bytes(), "manifest")
    assert (manifest.precision, manifest.outputs) == ("fp16", {"logits": "float16", "masks": "float16"})


def test_thresholds_and_labels_go_into_the_manifest(weights: Path, tmp_path: Path) -> None:
    names = [{"name": f"kind {i}", "isthing": i % 2} for i in range(19)]
    (tmp_path / "labels.json").write_text(json.dumps({"categories": names}))
    options = ["--labels", str(tmp_path / "labels.json"), "--score-threshold", "0.5", "--overlap-threshold", "0.6"]
    assert export.main(["--weights", str(weights), *SMALL, *options, "-o", str(tmp_path)]) == 0
    manifest = parse_manifest((tmp_path / "pem-nano.json").read_bytes(), "manifest")
    assert (manifest.thresholds.score, manifest.thresholds.overlap) == (0.5, 0.6)
    assert [(label.name, label.isthing) for label in manifest.classes[:2]] == [("kind 0", False), ("kind 1", True)]


def test_the_checkpoints_own_labels_are_the_default(tmp_path: Path) -> None:
    names = tuple(Label(i, f"kind {i}", i > 1, (i, i, i)) for i in range(4))
    pem.save(randomized(pem.build("pem-nano", num_classes=4)), tmp_path / "own.safetensors", labels=names)
    assert export.main(["--weights", str(tmp_path / "own.safetensors"), *SMALL, "-o", str(tmp_path)]) == 0
    assert parse_manifest((tmp_path / "pem-nano.json").read_bytes(), "manifest").classes == names


def test_classes_that_nothing_names_are_said(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps([{"name": f"kind {index}", "isthing": 1} for index in range(19)]))
    for given, is_said in ([], True), (["--labels", str(labels)], False):
        assert export.main(["--weights", str(weights), *SMALL, "-o", str(tmp_path / f"out-{is_said}"), *given]) == 0
        line = "nothing names its 19 classes: taken for those of cityscapes; --labels FILE names them"
        assert (line in capsys.readouterr().err) is is_said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--size", "100x150"], "expected multiples of 32: try 96x160"),
        (["--labels", "ade20k"], "the labels name 150 classes"),
        (["--labels", "nowhere"], "no labels called 'nowhere'"),
        (["--max-batch", "2"], "--max-batch is for sizes that vary: add --dynamic"),
        (["--dynamic", "--max-size", "32x32"], "expected a range that contains the default"),
        (["--dynamic", "--min-size", "40x64"], "--min-size is 40x64"),
        (["-o", "/dev/null/out"], "cannot write"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    arguments: list[str],
    expected: str,
    weights: Path,
    tmp_path: Path,
    refusal: Refusal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refusal("--weights", weights, *SMALL, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_are_not_there_are_refused_before_the_checkpoint_is_read(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    complaint = refusal("--weights", tmp_path / "cut.pth", "--labels", "nowhere", "-o", tmp_path / "out")
    assert "no labels called 'nowhere'" in complaint


def test_a_bad_checkpoint_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    assert "is damaged or not a checkpoint" in refusal("--weights", tmp_path / "cut.pth", "-o", tmp_path / "out")


def test_an_existing_artifact_is_kept_unless_told_otherwise(exported: Path, weights: Path, refusal: Refusal) -> None:
    before = exported.read_bytes()
    arguments = ["--weights", str(weights), *SMALL, "-o", str(exported.parent)]
    assert "add --overwrite" in refusal(*arguments)
    assert exported.read_bytes() == before
    assert export.main([*arguments, "--overwrite"]) == 0


trace = artifact._trace
"""What traces a graph even where others are taken that were traced before."""


def test_a_graph_that_computes_something_else_is_not_written(
    weights: Path, tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_one_weight(model: pem.MaskClassifier, forms: Forms, size: tuple[int, int]) -> pem.MaskClassifier:
        prepared = prepare(model, forms, size)
        prepared.decoder.mask_head.get_submodule("layers.2").get_parameter("bias").data += 1
        return prepared

    monkeypatch.setattr(artifact, "prepare", break_one_weight)
    monkeypatch.setattr(artifact, "_trace", trace)
    assert "parity failed" in refusal("--weights", weights, *SMALL, "-o", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_leaves_nothing(weights: Path, tmp_path: Path) -> None:
    interrupt_export("--weights", weights, *SMALL, "-o", tmp_path, at="tracing", after=0.5)
    assert list(tmp_path.iterdir()) == []
