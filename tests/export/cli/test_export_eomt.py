"""EoMT through ``pem-export``: its size is that of training unless another is given, and what it cannot is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pem_edge import pem, runtime
from pem_edge.export.cli import export
from pem_edge.pem import VARIANTS
from pem_edge.runtime.artifacts import onnx_file
from pem_edge.runtime.artifacts.manifest import Manifest, parse_manifest
from reference.weights import randomized
from tests.export.conftest import Refusal
from tests.helpers.tiny import TINY_EOMT

pytestmark = pytest.mark.usefixtures("traced_once")


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, TINY_EOMT.name, TINY_EOMT)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    pem.save(randomized(TINY_EOMT.build(num_classes=19)), path, task="panoptic")
    return path


def exported(weights: Path, folder: Path, *options: str) -> tuple[Path, Manifest]:
    assert export.main(["--weights", str(weights), *options, "-o", str(folder)]) == 0
    path = folder / "tiny-eomt.onnx"
    return path, parse_manifest(path.with_suffix(".json").read_bytes(), "manifest")


def test_the_input_is_as_in_training(weights: Path, tmp_path: Path) -> None:
    path, manifest = exported(weights, tmp_path)
    assert (manifest.input.height, manifest.input.width) == (64, 64)
    assert (manifest.input.pad_value, manifest.input.multiple_of) == ((0, 0, 0), 16)
    assert all(parity.passed for parity in manifest.parity.values())
    with runtime.load(path) as segmenter:
        assert segmenter(np.zeros((30, 50, 3), np.uint8)).panoptic.shape == (30, 50)


def test_sizes_are_multiples_of_a_patch(weights: Path, tmp_path: Path, refusal: Refusal) -> None:
    _, manifest = exported(weights, tmp_path, "--size", "48x80")
    assert (manifest.input.height, manifest.input.width) == (48, 80)
    line = refusal("--weights", weights, "--size", "50x80", "-o", tmp_path)
    assert "--size is 50x80, expected multiples of 32: try 64x64 (EoMT: of 16, 48x80)" in line


def test_other_families_still_take_multiples_of_32_alone(tmp_path: Path, refusal: Refusal) -> None:
    line = refusal("--weights", "demo", "--size", "48x80", "-o", tmp_path)
    assert "--size is 48x80, expected multiples of 32: try 64x64" in line


def test_the_batch_may_vary_and_the_size_may_not(weights: Path, tmp_path: Path, refusal: Refusal) -> None:
    path, manifest = exported(weights, tmp_path, "--dynamic", "--max-batch", "3")
    assert manifest.input.dynamic_height is manifest.input.dynamic_width is None
    assert manifest.input.dynamic_batch is not None
    assert manifest.input.dynamic_batch.most == 3
    images = list(np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8))
    with runtime.load(path) as segmenter:
        together = [result.panoptic for result in segmenter(images)]
        np.testing.assert_array_equal(together, [segmenter(image).panoptic for image in images])
    for option in ("--min-size", "--max-size"):
        line = refusal("--weights", weights, "--dynamic", option, "64x64", "-o", tmp_path, "--overwrite")
        assert f"resampled at export to one size, 64x64: leave out {option}" in line
    line = refusal("--weights", weights, "--dynamic", "--max-batch", "1", "-o", tmp_path, "--overwrite")
    assert "leave out --dynamic" in line


def test_models_trained_on_windows_are_refused(weights: Path, tmp_path: Path, refusal: Refusal) -> None:
    line = refusal("--weights", weights, "--task", "semantic", "-o", tmp_path)
    assert "is tiny-eomt for semantic segmentation, which is trained on windows that slide over a picture" in line
    assert "give one for panoptic or instance segmentation" in line
    assert list(tmp_path.iterdir()) == []


def test_attention_may_be_one_operator_which_engines_do_not_have(
    weights: Path, tmp_path: Path, refusal: Refusal
) -> None:
    path, manifest = exported(weights, tmp_path, "--attention", "fused")
    assert manifest.built_by.attention == "fused"
    assert "MultiHeadAttention" in onnx_file.operators(memoryview(path.read_bytes()))
    assert {"onnxruntime", "openvino"} <= {name for name, parity in manifest.parity.items() if parity.passed}
    line = refusal("--weights", "demo", "--attention", "fused", "-o", tmp_path)
    assert "--attention is for EoMT, and demo is pem-nano: leave it out" in line
    line = refusal("--weights", weights, "--attention", "fused", "--to", "trt-rtx", "-o", tmp_path)
    assert "--attention fused cannot run there" in line
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    line = refusal("--weights", path, "--to", "trt-rtx", "-o", tmp_path)
    assert "holds ONNX Runtime's MultiHeadAttention, which TensorRT-RTX does not have" in line


def test_one_operator_takes_batches_that_vary_and_half_precision(weights: Path, tmp_path: Path) -> None:
    options = ("--attention", "fused", "--dynamic", "--precision", "fp16")
    assert export.main(["--weights", str(weights), *options, "-o", str(tmp_path)]) == 0
    manifest = parse_manifest((tmp_path / "tiny-eomt-fp16.json").read_bytes(), "manifest")
    assert all(parity.passed for parity in manifest.parity.values())


def test_what_is_fixed_or_resampled_is_said(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(weights, tmp_path, "--size", "32x96", "--dynamic")
    said = capsys.readouterr().err
    assert "positions were learned at 64x64, and are resampled for 32x96" in said
    assert "the batch varies, height and width do not" in said


def test_no_plugin_is_needed_whatever_is_asked(weights: Path, tmp_path: Path) -> None:
    _, manifest = exported(weights, tmp_path, "--deform-conv", "plugin")
    assert manifest.deform_conv == "standard"
